//! Names a finding so that it is known again after lines above it have come or gone.
//!
//! Does not know what the name is used for.

use std::collections::BTreeMap;

use super::Report;
use crate::diagnostic::Diagnostic;

/// Gives each finding of one report a name that no other has.
#[derive(Default)]
pub(super) struct Fingerprints {
    seen: BTreeMap<String, u32>,
}

impl Fingerprints {
    /// Over rule, path, message and the text of the line; of findings that are alike in all four, over their order too.
    pub(super) fn of(&mut self, report: &Report<'_>, found: &Diagnostic) -> String {
        let span = found.primary.span;
        let file = report.map().file(span.file);
        let line = file.line_text(file.line_of(span.start)).trim();
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
