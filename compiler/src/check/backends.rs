//! Agents' programs: a setting that one of them does not have must not get lost on the way to it.
//!
//! Does not know how a program is started.

use std::collections::BTreeSet;

use super::Context;
use crate::diagnostic::Diagnostic;
use crate::plan::{Agent, Role, Unit, Via};
use crate::source::Span;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    for agent in &plan.agents {
        if let Some(effort) = &agent.effort {
            diagnostics.extend(effort_problem(agent, effort, agent.id.span));
        }
        if let Some(model) = &agent.model {
            diagnostics.extend(model_problem(agent, model, agent.id.span));
        }
    }
    let mut reported: BTreeSet<(Span, &str)> = BTreeSet::new();
    let working = |unit: &&Unit| unit.role == Role::Work && !unit.broken;
    for unit in plan.units.iter().filter(working) {
        let Some(agent) = &unit.agent else { continue };
        let of_one = plan.agents.get(agent.value.0 as usize);
        let Some(agent) = of_one else { continue };
        let effort = unit.effort.as_ref().and_then(|effort| effort_problem(agent, effort, unit.id.span));
        let model = unit.model.as_ref().and_then(|model| model_problem(agent, model, unit.id.span));
        for found in [effort, model].into_iter().flatten() {
            // Defaults hold for many units: the first one tells it.
            if reported
                .insert((agent.id.span, if found.message.contains("effort") { "effort" } else { "model" }))
            {
                diagnostics
                    .push(found.label(agent.id.span, format!("its agent has `via={}`", agent.via.word())));
            }
        }
    }
}

fn effort_problem(agent: &Agent, effort: &str, span: Span) -> Option<Diagnostic> {
    let via = agent.via.word();
    let found = match agent.via {
        Via::Codex if effort == "max" => Diagnostic::new(
            "unsupported-by-agent",
            span,
            "`effort=max` is more than the agent's program, `via=codex`, can be asked for",
        )
        .at("`max` is not one of its words")
        .help("write `effort=xhigh`, the most that it knows"),
        Via::Opencode | Via::Gemini => Diagnostic::new(
            "unsupported-by-agent",
            span,
            format!("the agent's program, `via={via}`, takes no `effort=`"),
        )
        .at("would get lost")
        .help("leave it out, or choose another `model=`"),
        _ => return None,
    };
    Some(found)
}

fn model_problem(agent: &Agent, model: &str, span: Span) -> Option<Diagnostic> {
    let complete =
        model.split_once('/').is_some_and(|(provider, name)| !provider.is_empty() && !name.is_empty());
    (agent.via == Via::Opencode && !complete).then(|| {
        Diagnostic::new(
            "unsupported-by-agent",
            span,
            format!("`model={model}` names no provider, and the agent's program, `via=opencode`, needs one"),
        )
        .at("would not be found")
        .help("write it as `model=\"PROVIDER/MODEL\"`")
    })
}
