//! One line a diagnostic: `path:line:col: error[L0401/write-conflict]: message`.
//!
//! Does not know labels, help and fixes; editors' and CI's line matchers want none.

use super::{one_line, place, rule_tag};
use crate::diagnostic::Diagnostic;
use crate::source::SourceMap;

/// A line for each diagnostic; nothing if there is none.
pub fn short(diagnostics: &[Diagnostic], map: &SourceMap) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&format!(
            "{}: {}[{}]: {}\n",
            place(diagnostic, map),
            diagnostic.severity.as_str(),
            rule_tag(diagnostic),
            one_line(&diagnostic.message)
        ));
    }
    out
}
