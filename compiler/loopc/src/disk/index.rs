//! Which paths git tracks, read from the index of a repository.
//!
//! Does not know what stands at those paths, and asks no git program: the file's layout is documented
//! (gitformat-index(5), versions 2 to 4).

use camino::{Utf8Path, Utf8PathBuf};

/// Larger indexes are not read; two million files have less.
const MAX_INDEX: u64 = 256 << 20;

/// A directory of a sparse checkout, as an entry of its own.
const SPARSE_DIRECTORY: u32 = 0o040_000;

/// The tracked paths. `None` if the index cannot be read: then nothing is known to be tracked.
/// A repository without an index tracks nothing.
pub(super) fn tracked(root: &Utf8Path) -> Option<Vec<String>> {
    let file = git_directory(root)?.join("index");
    match file.symlink_metadata() {
        Ok(found) if found.len() > MAX_INDEX => return None,
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(Vec::new()),
        Err(_) => return None,
    }
    let bytes = std::fs::read(&file).ok()?;
    // The width of object ids stands in the repository's settings; each entry's length tells which one is right.
    entries(&bytes, 20).or_else(|| entries(&bytes, 32))
}

/// `.git`, or where the file of this name in a linked worktree leads.
fn git_directory(root: &Utf8Path) -> Option<Utf8PathBuf> {
    let place = root.join(".git");
    if place.is_dir() {
        return Some(place);
    }
    let text = std::fs::read_to_string(&place).ok()?;
    Some(root.join(text.strip_prefix("gitdir:")?.trim()))
}

/// The names in an index whose object ids are `width` bytes long; `None` if it does not read as one.
fn entries(bytes: &[u8], width: usize) -> Option<Vec<String>> {
    let version = number(bytes, 4)?;
    if !bytes.starts_with(b"DIRC") || !(2..=4).contains(&version) {
        return None;
    }
    let count = number(bytes, 8)?;
    let mut paths = Vec::with_capacity((count as usize).min(bytes.len() / 62));
    let mut at = 12;
    let mut name: Vec<u8> = Vec::new();
    for _ in 0..count {
        let mode = number(bytes, at + 24)?;
        let flags_at = at + 40 + width;
        let flags = u16::from_be_bytes(bytes.get(flags_at..flags_at + 2)?.try_into().ok()?);
        let extended = flags & 0x4000 != 0;
        let mut next = flags_at + if extended { 4 } else { 2 };
        if version == 4 {
            let (cut, behind) = offset(bytes, next)?;
            name.truncate(name.len().checked_sub(cut)?);
            next = behind;
        } else {
            name.clear();
        }
        let length = bytes.get(next..)?.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(&bytes[next..next + length]);
        if name.is_empty() || (flags & 0x0fff) as usize != name.len().min(0x0fff) {
            return None;
        }
        next += length;
        // Up to version 3 an entry is filled up with NULs, one at least, to a multiple of eight.
        at = if version == 4 { next + 1 } else { at + ((next - at) / 8 + 1) * 8 };
        // A name that is not UTF-8 cannot stand in a plan.
        if mode != SPARSE_DIRECTORY
            && let Ok(name) = std::str::from_utf8(&name)
        {
            paths.push(name.to_owned());
        }
    }
    // A split index keeps the rest of its entries elsewhere.
    (!extensions(bytes, at, width)?.contains(b"link")).then_some(paths)
}

/// The names of the extensions behind the entries.
fn extensions(bytes: &[u8], mut at: usize, width: usize) -> Option<Vec<[u8; 4]>> {
    let end = bytes.len().checked_sub(width)?;
    let mut names = Vec::new();
    while at < end {
        names.push(bytes.get(at..at + 4)?.try_into().ok()?);
        at = at.checked_add(8)?.checked_add(number(bytes, at + 4)? as usize)?;
    }
    (at == end).then_some(names)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A number of variable width as in packs (`offset encoding`), and where it ends.
fn offset(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut byte = *bytes.get(at)?;
    let mut value = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        at += 1;
        byte = *bytes.get(at)?;
        value = value.checked_add(1)?.checked_mul(128)? | usize::from(byte & 0x7f);
    }
    Some((value, at + 1))
}
