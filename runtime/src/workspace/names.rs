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

/// Where following the link at `path` ends, as a path of the tree (empty: its root); the end need not exist.
/// `None` if some way that the kernel takes leaves the tree or enters its `.git`, or never ends. `links` knows
/// the targets of the tree's other links.
pub(super) fn link_end<'a>(
    path: &'a [u8],
    target: &'a [u8],
    links: impl Fn(&[u8]) -> Option<&'a [u8]>,
) -> Option<Vec<u8>> {
    let mut at: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    at.pop();
    let mut ahead: Vec<&[u8]> = Vec::new();
    follow(target, &mut ahead)?;
    let mut followed = 1;
    while let Some(part) = ahead.pop() {
        match part {
            b"" | b"." => {}
            b".." => drop(at.pop()?),
            name if is_dot_git(name) => return None,
            name => {
                at.push(name);
                if let Some(target) = links(&at.join(&b'/')) {
                    followed += 1;
                    at.pop();
                    // The kernel gives up at 40 (path_resolution(7)).
                    if followed > 40 {
                        return None;
                    }
                    follow(target, &mut ahead)?;
                }
            }
        }
    }
    Some(at.join(&b'/'))
}

/// Puts the parts of a link's target before what is still ahead; `None` if the target is absolute.
fn follow<'a>(target: &'a [u8], ahead: &mut Vec<&'a [u8]>) -> Option<()> {
    ahead.extend(target.rsplit(|byte| *byte == b'/'));
    (!target.starts_with(b"/")).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_git_directory_is_known() {
        let spellings = [
            ".git",
            ".GIT",
            ".Git",
            ".git.",
            ".git ",
            ".git. .",
            "git~1",
            "GIT~1",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".git::$INDEX_ALLOCATION",
            "a\\.git",
            ".git\\config",
        ];
        for name in spellings {
            assert!(is_dot_git(name.as_bytes()), "{name:?}");
        }
        for name in [".gitignore", "git", "agit", ".git2", "x.git", "git~2", ".gi", ""] {
            assert!(!is_dot_git(name.as_bytes()), "{name:?}");
        }
    }

    #[test]
    fn parts_that_mean_another_place_are_unwritable() {
        for path in ["", "a//b", "/a", "a/", "..", "a/../b", "./a", "a/.git/config", "a\0b"] {
            assert!(unwritable(path.as_bytes()).is_some(), "{path:?}");
        }
        for path in ["-a", " ", "a b", "\"", "\n", "\u{e9}", "...", "a\\b"] {
            assert_eq!(unwritable(path.as_bytes()), None, "{path:?}");
        }
        assert_eq!(unwritable(b"\xff"), None);
        assert!(unwritable(&[b'a'; 4096]).is_some());
    }

    #[test]
    fn names_fold_by_case_and_by_composition() {
        assert_eq!(fold("README"), fold("readme"));
        assert_eq!(fold("\u{e9}"), fold("E\u{301}"));
        assert_ne!(fold("a"), fold("b"));
    }

    fn leaves(path: &str, target: &str, others: &[(&str, &'static str)]) -> bool {
        end(path, target, others).is_none()
    }

    fn end(path: &str, target: &str, others: &[(&str, &'static str)]) -> Option<String> {
        let end = link_end(path.as_bytes(), target.as_bytes(), |at| {
            let (_, target) = others.iter().find(|(path, _)| path.as_bytes() == at)?;
            Some(target.as_bytes())
        })?;
        Some(String::from_utf8(end).unwrap())
    }

    #[test]
    fn links_are_followed_as_the_kernel_would() {
        assert!(!leaves("a", "b", &[]));
        assert!(!leaves("a/b/c", "../../d", &[]));
        assert!(!leaves("a", "missing/../x", &[]));
        assert!(leaves("a", "/etc/passwd", &[]));
        assert!(leaves("a", "..", &[]));
        assert!(leaves("a/b", "../../x", &[]));
        assert!(leaves("a", ".git/hooks", &[]));
        assert!(leaves("a", "b/../.GIT", &[]));
        // `d/..` is where `d` leads, not where it stands.
        assert_eq!(end("a", "d/../x", &[("d", "e/f")]).as_deref(), Some("e/x"));
        assert_eq!(end("p/a", "../d/g", &[("d", "e/f/.")]).as_deref(), Some("e/f/g"));
        assert_eq!(end("p/a", "..", &[]).as_deref(), Some(""));
        assert!(leaves("a", "d/../x", &[("d", ".")]));
        assert!(leaves("a", "d/x", &[("d", "/etc")]));
        assert!(leaves("a", "b", &[("b", "a"), ("a", "b")]));
    }
}
