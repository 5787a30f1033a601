//! Which names may stand in a tree, which names are the same to some file systems, where links lead.
//!
//! Does not know the file system: everything here is a function of bytes.

use unicode_normalization::UnicodeNormalization as _;

/// Linux's limit for a path.
const MAX_PATH: usize = 4095;

/// Why this path must not be written to a file system; `None` if it may.
pub(super) fn unwritable(path: &[u8]) -> Option<&'static str> {
    if path.len() > MAX_PATH {
        return Some("it is too long");
    }
    path.split(|byte| *byte == b'/').find_map(|name| match name {
        b"" | b"." | b".." => Some("a part of it is empty, `.` or `..`"),
        name if name.contains(&0) => Some("it holds a NUL byte"),
        name if is_dot_git(name) => Some("a part of it is `.git` to some file system"),
        _ => None,
    })
}

/// Whether some file system takes this name for `.git`: by case (APFS, NTFS), by characters it ignores
/// (HFS+), by trailing dots and spaces, short names, streams and backslashes (NTFS). CVE-2014-9390 and
/// CVE-2019-1353 are of this kind.
pub(super) fn is_dot_git(name: &[u8]) -> bool {
    let text = String::from_utf8_lossy(name);
    text.split('\\').any(|part| {
        let part = part.split(':').next().unwrap_or_default();
        let kept: String = part.chars().filter(|c| !ignored_by_hfs(*c)).collect();
        let kept = kept.trim_end_matches(['.', ' ']);
        kept.eq_ignore_ascii_case(".git") || kept.eq_ignore_ascii_case("git~1")
    })
}

fn ignored_by_hfs(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Two names with the same fold are one file to a file system that ignores case or normalises.
pub(super) fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Whether following the link at `path` leaves the tree, or enters its `.git`, on any way that the kernel
/// could take. `links` knows the targets of the tree's other links. A loop counts as leaving.
pub(super) fn link_leaves<'a>(
    path: &[u8],
    target: &'a [u8],
    links: impl Fn(&[u8]) -> Option<&'a [u8]>,
) -> bool {
    let mut at: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    at.pop();
    let mut at: Vec<Vec<u8>> = at.into_iter().map(<[u8]>::to_vec).collect();
    let mut ahead: Vec<&[u8]> = Vec::new();
    if !follow(target, &mut ahead) {
        return true;
    }
    let mut followed = 1;
    while let Some(part) = ahead.pop() {
        match part {
            b"" | b"." => {}
            b".." => {
                if at.pop().is_none() {
                    return true;
                }
            }
            name if is_dot_git(name) => return true,
            name => {
                at.push(name.to_vec());
                if let Some(target) = links(&at.join(&b'/')) {
                    followed += 1;
                    at.pop();
                    // The kernel gives up at 40 (path_resolution(7)).
                    if followed > 40 || !follow(target, &mut ahead) {
                        return true;
                    }
                }
            }
        }
    }
    false
}

/// Puts the parts of a link's target before what is still ahead; `false` if the target is absolute.
fn follow<'a>(target: &'a [u8], ahead: &mut Vec<&'a [u8]>) -> bool {
    ahead.extend(target.rsplit(|byte| *byte == b'/'));
    !target.starts_with(b"/")
}
