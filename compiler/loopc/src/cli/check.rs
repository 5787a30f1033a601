//! `loopc check`: every mistake of the plans, in one of several formats.
//!
//! Does not know how a mistake is found.

use camino::Utf8PathBuf;
use loop_compiler::compile::Compilation;
use loop_compiler::diagnostic::render::{Format, Report, plural, statistics, statistics_json};
use loopc::report::Output;

use super::output::{Failure, color, print};
use super::target::Target;
use super::{Exit, fix, watch};

/// What `check` does beside looking.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[group(skip)]
pub(super) struct Options {
    /// Say as well what is worth knowing about sound plans: the longest chain, how many units can run side by side
    #[arg(long)]
    pub(super) notes: bool,
    /// Write safe fixes to the files, and report what remains
    ///
    /// Only files of the repository are written, each whole or not at all. A plan on standard input is printed, fixed, to
    /// standard output, and what remains is reported on standard error.
    #[arg(long, group = "applies")]
    pub(super) fix: bool,
    /// Print the fixes as a patch for `git apply` and change nothing; ends with 1 if there are any
    #[arg(long, group = "applies")]
    pub(super) diff: bool,
    /// With `--fix` or `--diff`: also fixes that change what the plan asks for
    #[arg(long, requires = "applies")]
    pub(super) unsafe_fixes: bool,
    /// Print how often each rule is broken, and not where; `--format json` prints it for programs
    #[arg(long, conflicts_with = "diff")]
    pub(super) statistics: bool,
    /// Check again whenever a file of the repository changes, until interrupted
    #[arg(long, conflicts_with_all = ["fix", "diff"])]
    pub(super) watch: bool,
}

pub(super) fn run(paths: &[Utf8PathBuf], output: &Output, options: &Options) -> Result<Exit, Failure> {
    if options.statistics && !matches!(output.format.0, Format::Human | Format::Plain | Format::Json) {
        return Err(Failure::Told("statistics are printed as `human`, `plain` or `json`".to_owned()));
    }
    if options.watch {
        return watch::run(paths, output, options);
    }
    let target = Target::find(paths)?;
    if options.fix || options.diff {
        return fix::run(&target, output, options);
    }
    let mut compilation = target.compile()?;
    if options.notes {
        compilation.add_unasked();
    }
    let exit = if compilation.has_errors() { Exit::Errors } else { Exit::Clean };
    let printed = print(&report(&compilation, &target, output, options));
    // The program ends here: to give a large plan back piece by piece would take longer than some of the phases.
    std::mem::forget(compilation);
    match printed {
        // The verdict stands, whether or not anybody reads on.
        Ok(()) | Err(Failure::ReaderGone) => Ok(exit),
        Err(failure) => Err(failure),
    }
}

/// What is printed about a compilation.
pub(super) fn report(
    compilation: &Compilation,
    target: &Target,
    output: &Output,
    options: &Options,
) -> String {
    let talks = matches!(output.format.0, Format::Human | Format::Plain);
    if talks && compilation.diagnostics.is_empty() {
        return clean(compilation);
    }
    if options.statistics {
        let write = if talks { statistics } else { statistics_json };
        return write(&compilation.diagnostics, &compilation.map);
    }
    let report = Report::new(&compilation.diagnostics, &compilation.map).with_scope(target.scope());
    output.write(&report, color())
}

fn clean(compilation: &Compilation) -> String {
    match compilation.plans.as_slice() {
        [] => "loop.kdl: nothing to report; no plans to check\n".to_owned(),
        plans => {
            // Nothing is wrong with them, so what has come to nothing holds no feature: a file of definitions, or one
            // that was never written.
            let empty = plans.iter().filter(|(_, plan)| plan.is_none());
            let said: String = empty.map(|(path, _)| format!("; {path} holds no feature")).collect();
            format!("{} checked: nothing to report{said}\n", plural(plans.len(), "plan"))
        }
    }
}
