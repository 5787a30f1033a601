//! Known failures whose time is over.
//!
//! Does not know which day it is: whoever compiles says so, or nothing expires.

use super::Context;
use crate::diagnostic::Diagnostic;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(today) = context.sources.today() else { return };
    for verifier in &context.plan.verifiers {
        for failure in &verifier.known_failures {
            let Some(expires) = failure.expires.as_ref().filter(|expires| expires.value < today) else {
                continue;
            };
            let message = format!(
                "the known failure \"{}\" of `{}` was let pass until {}",
                failure.id.value, verifier.id.value, expires.value
            );
            diagnostics.push(
                Diagnostic::new("expired-known-failure", expires.span, message)
                    .at("this day is over: it counts as a failure again")
                    .label(failure.id.span, format!("known because: {}", failure.reason))
                    .help("mend it and remove the node, or give it a new day and say why"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::compile::{Compilation, Group, compile_groups};
    use crate::diagnostic::render::short;
    use crate::source::Date;
    use crate::source::memory::MemorySources;

    fn on(day: Option<&str>) -> Compilation {
        let project = "project p {\n    agent w via=claude\n    defaults agent=w { verify test; }\n    verifier test {\n        run make\n        \
                       known-failure \"a::b\" reason=\"issue 41\" expires=\"2027-01-31\"\n        known-failure \"a::c\" reason=\"issue 42\"\n    }\n}\n";
        let plan = "feature f {\n    unit u { goal \"g\"; writes \"a\"; }\n}\n";
        let mut sources = MemorySources::new([("loop.kdl", project), ("p.loop.kdl", plan)]);
        sources.today = day.and_then(Date::parse);
        let group = Group { project: Some("loop.kdl".into()), plans: vec!["p.loop.kdl".into()], whole: true };
        compile_groups(&[group], &sources)
    }

    #[test]
    fn a_known_failure_ends_with_its_day() {
        for (day, count) in
            [(None, 0), (Some("2026-12-31"), 0), (Some("2027-01-31"), 0), (Some("2027-02-01"), 1)]
        {
            let told = on(day);
            let told = short(&told.diagnostics, &told.map);
            assert_eq!(told.matches("L0621/expired-known-failure").count(), count, "{day:?}: {told}");
        }
        assert_eq!(
            short(&on(Some("2030-01-01")).diagnostics, &on(None).map),
            "loop.kdl:6:56: warning[L0621/expired-known-failure]: the known failure \"a::b\" of `test` was let pass until 2027-01-31\n"
        );
    }
}
