//! `loopc plan diff`: whose keys differ between two plans, or two states of one, and why.
//!
//! Does not know what has run.

use std::fmt::Write;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::compile::compile;
use loop_compiler::diagnostic::Severity;
use loop_compiler::diagnostic::render::{human, one_line, plural};
use loop_compiler::graph;
use loop_compiler::graph::diff::{Change, FieldDiff, GateChange, PlanDiff, Side, UnitDiff, diff};
use loop_compiler::source::Sources;
use loopc::disk::{PLAN_SUFFIX, Repository};
use loopc::revision::RevisionSources;
use loopc::terminal::Stream;

use super::output::{Failure, note, print, style};
use super::{DiffFormat, Exit, target};

/// Compares; the exit code says whether something differs only if `exit_code` is set.
pub(super) fn run(old: &str, new: &str, format: DiffFormat, exit_code: bool) -> Result<Exit, Failure> {
    let current = target::current_directory()?;
    let newer = Named::read(&current, new, None)?;
    let older = Named::read(&current, old, Some(&newer))?;
    let (Some(old), Some(new)) = (older.side(&current)?, newer.side(&current)?) else {
        return Ok(Exit::Errors);
    };
    let found = diff(&old, &new);
    match format {
        DiffFormat::Human => print(&text(&found, &old, &new, style(Stream::Out).width))?,
        DiffFormat::Json => print(&json(&found, &old, &new))?,
    }
    Ok(if exit_code && !found.is_empty() { Exit::Errors } else { Exit::Clean })
}

/// A plan as it was named: a file as it is, or as it was in a revision.
struct Named {
    revision: Option<String>,
    plan: Utf8PathBuf,
}

impl Named {
    /// `PATH`, `REVISION:PATH`, or, beside another plan, `REVISION` alone for the same path.
    fn read(current: &Utf8Path, word: &str, beside: Option<&Named>) -> Result<Named, Failure> {
        if current.join(word).exists() {
            return Ok(Named { revision: None, plan: word.into() });
        }
        match (word.split_once(':'), beside) {
            (Some((revision, path)), _) if !revision.is_empty() && path.ends_with(PLAN_SUFFIX) => {
                Ok(Named { revision: Some(revision.to_owned()), plan: path.into() })
            }
            (None, Some(beside)) if !word.ends_with(PLAN_SUFFIX) => {
                Ok(Named { revision: Some(word.to_owned()), plan: beside.plan.clone() })
            }
            _ => Err(Failure::Told(format!(
                "cannot read {word}: no such file; a plan in a revision is written REVISION:PATH"
            ))),
        }
    }

    /// Compiles it. What is wrong goes to standard error; `None` if there are errors.
    fn side(&self, current: &Utf8Path) -> Result<Option<Side>, Failure> {
        let start = if self.revision.is_some() { current.to_owned() } else { current.join(&self.plan) };
        let repository = Repository::find(&start)?;
        let plan = match &self.revision {
            // A path in a revision counts from the root, as git has it, or from here if it begins with a dot.
            Some(_) if !self.plan.as_str().starts_with('.') && !current.join(&self.plan).exists() => {
                self.plan.clone()
            }
            Some(_) => within(&repository, current, &self.plan)?,
            None => repository.relative(current, &self.plan)?,
        };
        match &self.revision {
            Some(revision) => {
                let sources = RevisionSources::open(&repository.root, revision).map_err(Failure::Told)?;
                if sources.kind(&plan).is_none() {
                    return Err(Failure::Told(format!("`{revision}` has no {plan}")));
                }
                side(&plan, sources.project_of(&plan), &sources, Some(revision))
            }
            None => side(&plan, repository.project_of(&plan), &repository.sources(), None),
        }
    }
}

/// A path that need not exist, counted from the root.
fn within(repository: &Repository, current: &Utf8Path, path: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    let mut place = Utf8PathBuf::new();
    for part in current.join(path).components() {
        match part.as_str() {
            ".." => {
                place.pop();
            }
            "." => {}
            part => place.push(part),
        }
    }
    let inside = place.strip_prefix(&repository.root).map(Utf8Path::to_owned);
    inside.map_err(|_| Failure::Told(format!("{path} is outside of the repository {}", repository.root)))
}

fn side(
    plan: &Utf8Path,
    project: Option<Utf8PathBuf>,
    sources: &dyn Sources,
    revision: Option<&str>,
) -> Result<Option<Side>, Failure> {
    let mut compilation = compile(project.as_deref(), &[plan.to_owned()], sources);
    compilation.diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if compilation.has_errors() {
        if let Some(revision) = revision {
            note(&format!("in revision {revision}:\n"));
        }
        note(&human(&compilation.diagnostics, &compilation.map, style(Stream::Err)));
        return Ok(None);
    }
    match compilation.plans.pop() {
        Some((_, Some(checked))) => Ok(Some(Side::new(graph::build(&checked), plan, sources))),
        _ => Err(Failure::Told(format!("{plan} holds no feature, so there is nothing to compare"))),
    }
}

fn json(found: &PlanDiff, old: &Side, new: &Side) -> String {
    let value = serde_json::json!({
        "format_version": 1,
        "old": old.graph().digest,
        "new": new.graph().digest,
        "units": found.units,
        "gates": found.gates,
        "definitions": found.definitions,
    });
    format!("{value:#}\n")
}

fn text(found: &PlanDiff, old: &Side, new: &Side, width: usize) -> String {
    let mut out = String::new();
    if found.is_empty() {
        let same = if old.graph().digest == new.graph().digest {
            "the plans mean the same"
        } else {
            "no unit's key differs"
        };
        let _ = writeln!(out, "{same}: nothing would run again");
        return out;
    }
    let of =
        |change: Change| found.units.iter().filter(move |unit| unit.change == change).collect::<Vec<_>>();
    section(&mut out, "runs, as nothing was asked under this name before", &of(Change::Added), width);
    section(&mut out, "runs again: what was asked, or what it is about, differs", &of(Change::Key), width);
    section(
        &mut out,
        "runs again only if a unit that it needs leaves something else",
        &of(Change::Upstream),
        width,
    );
    section(&mut out, "is checked again and not paid again", &of(Change::Policy), width);
    section(
        &mut out,
        "is in the old plan only; what it did stays until `loop drop`",
        &of(Change::Removed),
        width,
    );
    if !found.definitions.is_empty() {
        let _ = writeln!(out, "what units share");
        for field in &found.definitions {
            field_lines(&mut out, field, width);
        }
        out.push('\n');
    }
    for gate in &found.gates {
        let _ = writeln!(
            out,
            "gate {}: {}",
            gate.id,
            match gate.change {
                GateChange::Added => "new",
                GateChange::Removed => "no longer in the plan",
                GateChange::Closure => "an approval given before does not hold for it",
            }
        );
    }
    let runs = of(Change::Added).len() + of(Change::Key).len();
    let maybe = of(Change::Upstream).len();
    let all = new.graph().nodes.iter().filter(|node| node.kind != graph::NodeKind::Gate).count();
    let _ = write!(out, "{runs} of {} would run", plural(all, "unit"));
    let _ = writeln!(out, "{}", if maybe > 0 { format!(", {maybe} more may") } else { String::new() });
    out
}

fn section(out: &mut String, title: &str, units: &[&UnitDiff], width: usize) {
    if units.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    for unit in units {
        let _ = writeln!(out, "  {}", unit.id);
        for field in &unit.key {
            field_lines(out, field, width);
        }
        if !unit.needs.is_empty() {
            let _ = writeln!(out, "    needs {}", unit.needs.join(", "));
        }
        for field in &unit.policy {
            field_lines(out, field, width);
        }
    }
    out.push('\n');
}

fn field_lines(out: &mut String, field: &FieldDiff, width: usize) {
    let name = one_line(&field.field);
    // Of contents only the digests are known here; they would tell a person nothing.
    let content = ["input ", "ref ", "rules "].iter().any(|kind| field.field.starts_with(kind));
    match (&field.old, &field.new) {
        (Some(_), Some(_)) if content => {
            let _ = writeln!(out, "    {name}: other content");
        }
        (None, Some(_)) if content => {
            let _ = writeln!(out, "    {name}: new");
        }
        (Some(_), None) if content => {
            let _ = writeln!(out, "    {name}: no longer there");
        }
        (old, new) => {
            let _ = writeln!(out, "    {name}");
            let (from, to) =
                windows(old.as_deref().unwrap_or(""), new.as_deref().unwrap_or(""), width.saturating_sub(8));
            if old.is_some() {
                let _ = writeln!(out, "      - {from}");
            }
            if new.is_some() {
                let _ = writeln!(out, "      + {to}");
            }
        }
    }
}

/// Both texts, cut to the part in which they differ.
fn windows(old: &str, new: &str, width: usize) -> (String, String) {
    let width = width.max(20);
    let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let front = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let longest = old.len().max(new.len());
    let from = if longest <= width { 0 } else { front.saturating_sub(width / 4) };
    let cut = |text: &[char]| {
        let mut shown = String::new();
        if from > 0 {
            shown.push('…');
        }
        let rest = text.get(from..).unwrap_or_default();
        let room = width - usize::from(from > 0);
        if rest.len() > room {
            shown.extend(&rest[..room - 1]);
            shown.push('…');
        } else {
            shown.extend(rest);
        }
        one_line(&shown).into_owned()
    };
    (cut(&old), cut(&new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_to_where_they_differ() {
        let (old, new) = (
            format!("{}x{}", "a".repeat(100), "b".repeat(100)),
            format!("{}y{}", "a".repeat(100), "b".repeat(100)),
        );
        let (from, to) = windows(&old, &new, 40);
        assert_eq!(from, format!("…{}x{}…", "a".repeat(10), "b".repeat(27)));
        assert_eq!(to, from.replace('x', "y"));
        assert_eq!(windows("a", "ab", 40), ("a".to_owned(), "ab".to_owned()));
        assert_eq!(windows(&"a".repeat(60), "a", 40).1, "a", "the beginning is shown where nothing is left");
    }
}
