//! Directories opened step by step, never through a symbolic link.
//!
//! Does not know what is in them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Deeper directories are refused: each level on the way down holds a descriptor.
pub(super) const MAX_DEPTH: usize = 200;

/// Opens a directory of ours by its path; its last component must not be a link.
pub(super) fn open_root(path: &camino::Utf8Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path.as_std_path(), DIRECTORY, Mode::empty())?)
}

/// Opens a directory in an open one; a link there is an error.
pub(super) fn open_child(dir: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(openat(dir, name, DIRECTORY, Mode::empty())?)
}

/// Opens a directory below an open one, given by its components. Links on the way are errors. One descriptor
/// is open at a time, so depth costs time only.
pub(super) fn open_below(root: impl AsFd, path: &[u8]) -> io::Result<OwnedFd> {
    let mut at = open_child(root, b".")?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        at = open_child(&at, name)?;
    }
    Ok(at)
}
