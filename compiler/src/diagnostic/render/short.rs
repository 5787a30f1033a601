//! One line a diagnostic: `path:line:col: error[L0401/write-conflict]: message`.
//!
//! Does not know labels, help and fixes; editors' and CI's line matchers want none.

use super::{Report, one_line, rule_tag};

pub(super) fn write(report: &Report<'_>, limit: Option<usize>) -> String {
    let mut out = String::new();
    for diagnostic in report.shown(limit) {
        out.push_str(&format!(
            "{}: {}[{}]: {}\n",
            report.place(diagnostic.primary.span),
            diagnostic.severity.as_str(),
            rule_tag(diagnostic),
            one_line(&diagnostic.message)
        ));
    }
    out
}
