//! Names a finding so that it is known again after lines above it have come or gone.
//!
//! Does not know what the name is used for.

use std::collections::BTreeMap;

use super::Report;
use crate::diagnostic::Diagnostic;
use crate::source::FileId;

/// Of a line with more bytes, the digest stands for it.
const LONG: usize = 4_096;

/// Gives each finding of one report a name that no other has.
#[derive(Default)]
pub(super) struct Fingerprints {
    seen: BTreeMap<String, u32>,
    /// What stands for lines that are too long to be read for each finding in them.
    long: BTreeMap<(FileId, usize), String>,
}

impl Fingerprints {
    /// Over rule, path, message and the text of the line; of findings that are alike in all four, over their order too.
    pub(super) fn of(&mut self, report: &Report<'_>, found: &Diagnostic) -> String {
        let span = found.primary.span;
        let file = report.map().file(span.file);
        let number = file.line_of(span.start);
        let mut line = file.line_text(number);
        if line.len() > LONG {
            let digest = || blake3::hash(line.trim().as_bytes()).to_hex().to_string();
            line = self.long.entry((span.file, number)).or_insert_with(digest);
        }
        let line = line.trim();
        let mut hasher = blake3::Hasher::new_derive_key("loop/v1/finding");
        for part in [found.rule.code, report.path(span.file), &found.message, line] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let alike = hasher.finalize().to_hex().to_string();
        let count = self.seen.entry(alike).or_insert(0);
        *count += 1;
        hasher.update(&count.to_le_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }
}
