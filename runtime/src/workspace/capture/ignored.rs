//! The ignore rules of a worktree's own `.gitignore` files.
//!
//! Does not know which files are tracked; global and system rules, and `info/exclude`, do not count.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The rules in force in a directory: its own file's, then those above (gitignore(5): the nearest decides,
/// and in one file the last line that matches).
#[derive(Clone, Default)]
pub(super) struct Rules(Option<Rc<Level>>);

struct Level {
    /// Of the directory that holds the file: empty, or with a `/` at its end.
    prefix_len: usize,
    matcher: Gitignore,
    above: Rules,
}

impl Rules {
    /// With the file of the directory `prefix` in force. Lines that make no sense are passed over, as git
    /// does.
    pub(super) fn below(&self, prefix: &[u8], file: &[u8]) -> Rules {
        let mut builder = GitignoreBuilder::new("");
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        for line in file.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // Only UTF-8 names can be captured at all, so other lines decide nothing.
            if let Ok(line) = std::str::from_utf8(line) {
                builder.add_line(None, &with_short_runs(line)).ok();
            }
        }
        match builder.build() {
            Ok(matcher) if !matcher.is_empty() => {
                Rules(Some(Rc::new(Level { prefix_len: prefix.len(), matcher, above: self.clone() })))
            }
            _ => self.clone(),
        }
    }

    /// Whether the path, given from the root, is ignored by itself. A directory above it that is ignored
    /// decides first, and that is the walk's to know.
    pub(super) fn ignore(&self, path: &[u8], is_dir: bool) -> bool {
        let mut level = &self.0;
        while let Some(rules) = level {
            let below = Path::new(OsStr::from_bytes(&path[rules.prefix_len..]));
            match rules.matcher.matched(below, is_dir) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => level = &rules.above.0,
            }
        }
        false
    }
}

/// A run of three asterisks or more means to git what two do (`wildmatch` reads on to the end of the run); the
/// matcher takes it for something else.
fn with_short_runs(line: &str) -> Cow<'_, str> {
    if !line.contains("***") {
        return Cow::Borrowed(line);
    }
    let mut short = String::with_capacity(line.len());
    for c in line.chars() {
        if c != '*' || !short.ends_with("**") {
            short.push(c);
        }
    }
    Cow::Owned(short)
}
