//! `loopc check`: every mistake of the plans, in one of several formats.
//!
//! Does not know how a mistake is found.

use camino::Utf8PathBuf;
use loop_compiler::compile::Compilation;
use loop_compiler::diagnostic::render::{Format, Report, plural};
use loopc::report::Output;

use super::Exit;
use super::output::{Failure, color, print};
use super::target::Target;

pub(super) fn run(paths: &[Utf8PathBuf], output: &Output, notes: bool) -> Result<Exit, Failure> {
    let target = Target::find(paths)?;
    let mut compilation = target.compile()?;
    if notes {
        compilation.add_unasked();
    }
    let exit = if compilation.has_errors() { Exit::Errors } else { Exit::Clean };
    match print(&report(&compilation, &target, output)) {
        // The verdict stands, whether or not anybody reads on.
        Ok(()) | Err(Failure::ReaderGone) => Ok(exit),
        Err(failure) => Err(failure),
    }
}

fn report(compilation: &Compilation, target: &Target, output: &Output) -> String {
    let talks = matches!(output.format.0, Format::Human | Format::Plain);
    if talks && compilation.diagnostics.is_empty() {
        return clean(compilation);
    }
    let report = Report::new(&compilation.diagnostics, &compilation.map).with_scope(target.scope());
    output.write(&report, color())
}

fn clean(compilation: &Compilation) -> String {
    match compilation.plans.as_slice() {
        [] => "loop.kdl: nothing to report; no plans to check\n".to_owned(),
        plans => format!("{} checked: nothing to report\n", plural(plans.len(), "plan")),
    }
}
