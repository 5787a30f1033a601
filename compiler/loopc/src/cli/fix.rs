//! `loopc check --fix` and `--diff`: fixes are written to the files, or shown as a patch.
//!
//! Does not know which fixes help; `mend` does.

use camino::Utf8Path;

use loop_compiler::diagnostic::render::{Report, Summary, plural, render};
use loop_compiler::mend::{Allow, Mended, mend};
use loop_compiler::source::Sources;
use loopc::diff;
use loopc::replace::Prepared;
use loopc::report::Output;
use loopc::terminal::Stream;

use super::Exit;
use super::check::{Options, report};
use super::output::{Failure, color, note, print, print_bytes, style};
use super::target::{STDIN_PATH, Target, unreadable};

pub(super) fn run(target: &Target, output: &Output, options: &Options) -> Result<Exit, Failure> {
    if target.stdin.is_some() && target.scope().plans.is_some_and(|plans| plans.len() > 1) {
        return Err(Failure::Told(
            "fixes of standard input are for one plan alone: name no other path".to_owned(),
        ));
    }
    // Says which file cannot be read before anything is judged.
    target.compile()?;
    let allow = if options.unsafe_fixes { Allow::Unsafe } else { Allow::Safe };
    let disk = target.repository.sources();
    let may_edit = |path: &Utf8Path| match &target.stdin {
        Some(_) => path == STDIN_PATH,
        None => disk.read(path).is_ok(),
    };
    let mended = target.with_sources(|sources| mend(&target.groups, sources, allow, &may_edit));
    if options.diff { show(&mended, target) } else { write(&mended, target, output, options) }
}

/// The changes as a patch; nothing is written.
fn show(mended: &Mended, target: &Target) -> Result<Exit, Failure> {
    let before = target.compile()?;
    let patches =
        mended.files.iter().map(|file| diff::unified(file.path.as_str(), &file.before, &file.after));
    let text = Report::mask_text(&before.diagnostics, &before.map, patches.collect());
    let text = if style(Stream::Out).color { diff::colored(&text) } else { text };
    let summary = Summary::of(&mended.compilation.diagnostics, &mended.compilation.map);
    let mut told = match mended.files.len() {
        0 => "nothing to fix".to_owned(),
        files => format!("would fix {} in {}", plural(mended.fixed, "finding"), plural(files, "file")),
    };
    if summary.errors > 0 {
        told.push_str(&format!("; {} would remain", plural(summary.errors, "error")));
    }
    note(&format!("{told}\n{}", left_out(mended)));
    let clean = mended.files.is_empty() && summary.errors == 0;
    settle(print(&text), if clean { Exit::Clean } else { Exit::Errors })
}

fn write(mended: &Mended, target: &Target, output: &Output, options: &Options) -> Result<Exit, Failure> {
    let compilation = &mended.compilation;
    let exit = if compilation.has_errors() { Exit::Errors } else { Exit::Clean };
    if let Some(given) = &target.stdin {
        // Standard output is for the text alone, as it came in where nothing was fixed.
        let fixed = mended.files.iter().find(|file| file.path == STDIN_PATH);
        let report = Report::new(&compilation.diagnostics, &compilation.map).with_scope(target.scope());
        note(&render(&report, &output.look(color(), Stream::Err)));
        note(&left_out(mended));
        return settle(print_bytes(fixed.map_or(given, |file| file.after.as_bytes())), exit);
    }
    replace_all(mended, target)?;
    let printed = print(&report(compilation, target, output, options));
    if !mended.files.is_empty() {
        note(&format!(
            "fixed {} in {}\n",
            plural(mended.fixed, "finding"),
            plural(mended.files.len(), "file")
        ));
    }
    note(&left_out(mended));
    settle(printed, exit)
}

/// Writes the files: all new texts are on disk before the first file is replaced, so that a full disk changes none.
fn replace_all(mended: &Mended, target: &Target) -> Result<(), Failure> {
    let disk = target.repository.sources();
    let mut places = Vec::with_capacity(mended.files.len());
    for file in &mended.files {
        places.push(disk.locate(&file.path).map_err(|why| unreadable(&file.path, why))?);
    }
    let cannot = |path: &Utf8Path, why| Failure::Told(format!("cannot write {path}: {why}"));
    let mut prepared = Vec::with_capacity(mended.files.len());
    for (file, place) in mended.files.iter().zip(&places) {
        let one = Prepared::new(place, file.before.as_bytes(), file.after.as_bytes());
        prepared.push((file, one.map_err(|why| cannot(&file.path, why))?));
    }
    for (file, one) in prepared {
        one.put().map_err(|why| cannot(&file.path, why))?;
    }
    Ok(())
}

/// The verdict stands, whether or not anybody reads on.
fn settle(printed: Result<(), Failure>, exit: Exit) -> Result<Exit, Failure> {
    match printed {
        Ok(()) | Err(Failure::ReaderGone) => Ok(exit),
        Err(failure) => Err(failure),
    }
}

fn left_out(mended: &Mended) -> String {
    match mended.left_out {
        0 => String::new(),
        1 => "1 fix was left out: it would not help, or lead to other findings\n".to_owned(),
        count => format!("{count} fixes were left out: they would not help, or lead to other findings\n"),
    }
}
