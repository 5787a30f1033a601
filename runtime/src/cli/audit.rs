//! `loop audit verify`: is the journal what it was when it was written?
//!
//! Does not check anything itself: `audit::verify` does, from the raw bytes; this finds what anchors it.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::load::repository;
use super::output::{Failure, print};
use crate::audit::verify::{Anchor, Named, Report, verify as check};
use crate::digest::Sha256;
use crate::drive;
use crate::fault::ExitCode;
use crate::journal;
use crate::workspace::Repository;

/// How far back the branch is read for trailers.
const HISTORY: usize = 100_000;

pub(super) fn verify(path: Option<&Utf8Path>, require_anchor: bool) -> Result<ExitCode, Failure> {
    let (state_dir, repository) = match path {
        Some(path) => (state_dir_of(path)?, None),
        None => {
            let repository = repository()?;
            (repository.state_dir(), Some(repository))
        }
    };
    let features = journal::features(&state_dir)?;
    if features.is_empty() && repository.is_none() {
        return Err(Failure::usage(format!("there is no journal in {state_dir}")));
    }
    let mut exit = ExitCode::Complete;
    let mut text = String::new();
    if let Some(repository) = &repository {
        // A journal that is gone as a whole is the largest cut of all.
        for feature in
            repository.features_with_branches()?.into_iter().filter(|name| !features.contains(name))
        {
            let named = anchors(repository, &feature)?.len();
            if named > 0 {
                let _ = writeln!(
                    text,
                    "{feature}: no journal, and {named} commits on its branch name results of one"
                );
                let _ = writeln!(text, "  NOT SOUND: it was removed, or another clone wrote them and has it");
                exit = exit.and(ExitCode::WorkFailed);
            }
        }
    }
    if features.is_empty() && text.is_empty() {
        text.push_str("there is no journal yet: nothing has run\n");
    }
    for feature in features {
        let anchors = match &repository {
            Some(repository) => anchors(repository, &feature)?,
            None => Vec::new(),
        };
        let report = check(&state_dir, &feature, &anchors).map_err(|error| {
            Failure::new(ExitCode::Environment, format!("cannot read the journal of {feature}: {error}"))
        })?;
        describe(&mut text, &feature, &report);
        if !report.is_sound() {
            exit = exit.and(ExitCode::WorkFailed);
        } else if require_anchor && report.unanchored() > 0 {
            exit = exit.and(ExitCode::Waiting);
        }
    }
    print(&text)?;
    Ok(exit)
}

/// The state directory of a path that a reviewer was given: it, or what holds its `journal`.
fn state_dir_of(path: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    let candidates = [Some(path), path.parent(), path.parent().and_then(Utf8Path::parent)];
    candidates
        .into_iter()
        .flatten()
        .find(|directory| directory.join("journal").is_dir())
        .map(Utf8Path::to_owned)
        .ok_or_else(|| Failure::usage(format!("{path} holds no `journal` directory; give the `loop` directory of a git directory, or a copy of it")))
}

/// Commits on the feature's branch name the result that they were made from.
fn anchors(repository: &Repository, feature: &str) -> Result<Vec<Anchor>, Failure> {
    let Some(tip) = repository.branch(&drive::branch_name(feature))? else { return Ok(Vec::new()) };
    let mut anchors = Vec::new();
    for commit in repository.first_parent_history(&tip, None, HISTORY)? {
        let trailers = commit.trailers();
        let value =
            |name: &str| trailers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if value("Loop-Feature") != Some(feature) {
            continue;
        }
        if let Some(result) = value("Loop-Result").and_then(Sha256::parse) {
            anchors
                .push(Anchor { names: Named::Result(result), by: format!("commit {}", commit.id.short()) });
        }
    }
    anchors.reverse();
    Ok(anchors)
}

fn describe(text: &mut String, feature: &str, report: &Report) {
    let _ =
        writeln!(text, "{feature}: {} record{}", report.records, if report.records == 1 { "" } else { "s" });
    for problem in &report.problems {
        let _ = writeln!(
            text,
            "  record {}: {} ({}:{})",
            problem.record, problem.what, problem.file, problem.line
        );
    }
    for anchor in &report.beyond {
        let _ = writeln!(
            text,
            "  {} names a result that the journal does not have: its end was cut off, or another clone wrote it",
            anchor.by
        );
    }
    if let Some(torn) = &report.torn {
        let _ = writeln!(
            text,
            "  after the last record stand {} bytes of an append that was cut ({}); the next run moves them aside",
            torn.bytes, torn.file
        );
    }
    if report.erased > 0 {
        let _ = writeln!(text, "  {} stored texts were erased, which the chain allows", report.erased);
    }
    if !report.is_sound() {
        let _ = writeln!(text, "  NOT SOUND: do not rely on this journal");
        return;
    }
    match &report.anchored {
        Some((record, by)) => {
            let _ = writeln!(
                text,
                "  sound; anchored up to record {record} by {by}, with an unanchored tail of {}",
                report.unanchored()
            );
        }
        None => {
            let _ = writeln!(
                text,
                "  sound, but nothing outside names a record of it: what is not anchored cannot be proved unchanged"
            );
        }
    }
    if report.anchored.is_some() && report.unanchored() > 0 {
        let _ = writeln!(
            text,
            "  what is not anchored cannot be proved unchanged; pushing the branch anchors what it names"
        );
    }
}
