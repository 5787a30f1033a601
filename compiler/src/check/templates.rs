//! Parameters of templates that change nothing.
//!
//! Does not know how a template is expanded; nothing else of it is left in the plan.

use super::Context;
use crate::diagnostic::Diagnostic;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for unused in &context.plan.unused_parameters {
        let (template, name) = (&unused.template, &unused.name);
        diagnostics.push(
            Diagnostic::new(
                "unused-parameter",
                name.span,
                format!("nothing in the template `{}` uses its parameter `{}`", template.value, name.value),
            )
            .at("whatever is given for it changes nothing")
            .label(template.span, "in this template")
            .help(format!("write `${{{}}}` where its value belongs, or remove the parameter", name.value)),
        );
    }
}
