//! `loopc check --fix` and `--diff`: fixes are written to the files, or shown as a patch.
//!
//! Does not know which fixes help; `mend` does.

use camino::Utf8Path;

use loop_compiler::diagnostic::render::{Report, Summary, plural, render};
use loop_compiler::mend::{Allow, Mended, MendedFile, mend};
use loop_compiler::source::Sources;
use loopc::replace::{Replacement, replace};
use loopc::report::Output;
use loopc::terminal::Stream;
use similar::TextDiff;

use super::Exit;
use super::check::{Options, report};
use super::output::{Failure, color, note, print, print_bytes, style};
use super::target::{STDIN_PATH, Target};

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
    let paint = style(Stream::Out).color;
    let text: String = mended.files.iter().map(|file| patch(file, paint)).collect();
    let text = Report::mask_text(&before.diagnostics, &before.map, text);
    let summary = Summary::of(&mended.compilation.diagnostics);
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
    let changes: Vec<Replacement<'_>> = mended
        .files
        .iter()
        .map(|file| Replacement {
            path: &file.path,
            before: file.before.as_bytes(),
            after: file.after.as_bytes(),
        })
        .collect();
    replace(&target.repository.sources(), &changes).map_err(|error| Failure::Told(error.to_string()))?;
    let printed = print(&report(compilation, target, output, options));
    if !changes.is_empty() {
        note(&format!("fixed {} in {}\n", plural(mended.fixed, "finding"), plural(changes.len(), "file")));
    }
    note(&left_out(mended));
    settle(printed, exit)
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

/// A unified diff that `git apply` takes at the repository's root.
fn patch(file: &MendedFile, paint: bool) -> String {
    let lines = |text: &'_ str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(&file.before), lines(&file.after));
    let (old, new): (Vec<&str>, Vec<&str>) =
        (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
    let diff = TextDiff::configure().newline_terminated(true).diff_slices(&old, &new);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(&name("a/", &file.path), &name("b/", &file.path))
        .to_string();
    if !paint {
        return text;
    }
    let painted = text.split_inclusive('\n').map(|line| {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        let ink = match body.as_bytes().first() {
            Some(b'+') => "32",
            Some(b'-') => "31",
            Some(b'@') => "36",
            _ => return line.to_owned(),
        };
        format!("\x1b[{ink}m{body}\x1b[0m{end}")
    });
    painted.collect()
}

/// A path in a patch as git writes it: quoted if it has control characters, quotes or backslashes, and closed by a tab
/// if it has a space.
fn name(side: &str, path: &Utf8Path) -> String {
    let odd = |c: char| c.is_control() || c == '"' || c == '\\';
    if !path.as_str().contains(odd) {
        let tab = if path.as_str().contains(' ') { "\t" } else { "" };
        return format!("{side}{path}{tab}");
    }
    let mut out = format!("\"{side}");
    for c in path.as_str().chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("\\{byte:03o}")))
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
