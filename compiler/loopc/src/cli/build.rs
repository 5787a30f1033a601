//! `loopc build`: a plan's graph as JSON, or its digest.
//!
//! Does not know what is in a graph.

use camino::Utf8Path;
use loop_compiler::check::CheckedPlan;
use loop_compiler::diagnostic::Severity;
use loop_compiler::diagnostic::render::human;
use loop_compiler::graph;
use loopc::terminal::Stream;

use super::output::{Failure, note, print, style, write_whole};
use super::{Exit, target};

pub(super) fn run(plan: &Utf8Path, output: Option<&Utf8Path>, digest: bool) -> Result<Exit, Failure> {
    if let Some(file) = output {
        not_a_plan(file)?;
    }
    let Some(checked) = checked(plan)? else { return Ok(Exit::Errors) };
    let graph = graph::build(&checked);
    if let Some(file) = output {
        write_whole(file, graph::encode(&graph).as_bytes())?;
    }
    if digest {
        print(&format!("{}\n", graph.digest))?;
    } else if output.is_none() {
        print(&graph::encode(&graph))?;
    }
    Ok(Exit::Clean)
}

/// The one plan, checked. What is wrong with it goes to standard error, since standard output is for the result;
/// `None` if there are errors.
pub(super) fn checked(plan: &Utf8Path) -> Result<Option<CheckedPlan>, Failure> {
    let mut compilation = target::compile(&[plan.to_owned()])?;
    let has_errors = compilation.has_errors();
    // Notes say what `check` is for; here they would stand between a person and the result.
    compilation.diagnostics.retain(|diagnostic| diagnostic.severity != Severity::Note);
    note(&human(&compilation.diagnostics, &compilation.map, style(Stream::Err)));
    if has_errors {
        return Ok(None);
    }
    let mut plans = compilation.plans.into_iter();
    match (plans.next(), plans.next()) {
        (Some((_, Some(checked))), None) => Ok(Some(checked)),
        (Some((path, None)), None) => {
            Err(Failure::Told(format!("{path} holds no feature, so there is nothing to build")))
        }
        _ => Err(Failure::Told(format!("{plan} is not one plan; name a file that ends in `.loop.kdl`"))),
    }
}

/// A result is never written over a plan by a slip of the fingers.
pub(super) fn not_a_plan(output: &Utf8Path) -> Result<(), Failure> {
    match output.extension() {
        Some("kdl") => Err(Failure::Told(format!(
            "{output} would be a plan by its name; give the result another extension"
        ))),
        _ => Ok(()),
    }
}
