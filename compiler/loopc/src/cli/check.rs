//! `loopc check`: every mistake of the plans, in one of three formats.
//!
//! Does not know how a mistake is found.

use camino::Utf8PathBuf;
use loop_compiler::compile::Compilation;
use loop_compiler::diagnostic::render::{human, json, plural, short};
use loopc::terminal::Stream;

use super::output::{Failure, print, style};
use super::{Exit, Format, target};

pub(super) fn run(paths: &[Utf8PathBuf], format: Format, notes: bool) -> Result<Exit, Failure> {
    let mut compilation = target::compile(paths)?;
    if notes {
        compilation.add_unasked();
    }
    let text = match format {
        Format::Human if compilation.diagnostics.is_empty() => clean(&compilation),
        Format::Human => human(&compilation.diagnostics, &compilation.map, style(Stream::Out)),
        Format::Short => short(&compilation.diagnostics, &compilation.map),
        Format::Json => json(&compilation.diagnostics, &compilation.map),
    };
    let exit = if compilation.has_errors() { Exit::Errors } else { Exit::Clean };
    match print(&text) {
        // The verdict stands, whether or not anybody reads on.
        Ok(()) | Err(Failure::ReaderGone) => Ok(exit),
        Err(failure) => Err(failure),
    }
}

fn clean(compilation: &Compilation) -> String {
    match compilation.plans.as_slice() {
        [] => "loop.kdl: nothing to report; no plans to check\n".to_owned(),
        plans => format!("{} checked: nothing to report\n", plural(plans.len(), "plan")),
    }
}
