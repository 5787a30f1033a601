//! `loopc build`: a plan's graph as JSON, or its digest.
//!
//! Does not know what is in a graph.

use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::check::CheckedPlan;
use loop_compiler::diagnostic::Severity;
use loop_compiler::diagnostic::render::human;
use loop_compiler::graph;
use loopc::report::{Color, style};
use loopc::terminal::Stream;

use super::output::{Failure, note, print};
use super::{Exit, target};

pub(super) fn run(
    plan: &Utf8Path,
    output: Option<&Utf8Path>,
    digest: bool,
    color: Color,
) -> Result<Exit, Failure> {
    if let Some(file) = output.filter(|file| file.extension() == Some("kdl")) {
        return Err(Failure::Told(format!(
            "{file} would be a plan by its name; write the graph to a `.json` file"
        )));
    }
    let Some(checked) = checked(plan, color)? else { return Ok(Exit::Errors) };
    let graph = graph::build(&checked);
    if let Some(file) = output {
        write_whole(file, graph::encode(&graph).as_bytes())
            .map_err(|error| Failure::Told(format!("cannot write {file}: {error}")))?;
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
pub(super) fn checked(plan: &Utf8Path, color: Color) -> Result<Option<CheckedPlan>, Failure> {
    let mut compilation = target::compile(&[plan.to_owned()])?;
    let has_errors = compilation.has_errors();
    // Notes say what `check` is for; here they would stand between a person and the result.
    compilation.diagnostics.retain(|diagnostic| diagnostic.severity != Severity::Note);
    note(&human(&compilation.diagnostics, &compilation.map, style(color, Stream::Err)));
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

/// Writes beside the file first, so that a reader never sees half of it.
fn write_whole(file: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = Utf8PathBuf::from(format!("{file}.{}.tmp", std::process::id()));
    let written = std::fs::File::create_new(&beside).and_then(|mut out| out.write_all(bytes));
    let renamed = written.and_then(|()| std::fs::rename(&beside, file));
    if renamed.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    renamed
}
