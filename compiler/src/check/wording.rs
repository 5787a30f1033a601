//! What a plan's own words say about it: names in an older spelling.
//!
//! Does not know what the names stand for.

use super::Context;
use crate::diagnostic::{Applicability, Diagnostic};

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for old in &context.plan.old_names {
        let (written, now) = (&old.written, &old.now);
        let message = format!("`{}` is an older way to write the {} `{now}`", written.value, old.what);
        diagnostics.push(
            Diagnostic::new("deprecated-name", written.span, message).at("still works").replace(
                written.span,
                now,
                format!("write `{now}`"),
                Applicability::Safe,
            ),
        );
    }
}
