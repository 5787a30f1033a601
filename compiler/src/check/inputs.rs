//! Inputs: what a unit reads may be written only by units that it needs, or by an earlier gate.
//!
//! Does not know which files exist: it works on what patterns can name.

use std::collections::BTreeMap;

use super::order::By;
use super::ownership::{Writers, chains, scope};
use super::written::Use;
use super::{Context, edit};
use crate::diagnostic::{Applicability, Diagnostic};
use crate::glob::{Pattern, grouped, overlap_outside};
use crate::plan::{Unit, UnitIx};
use crate::source::{Span, Spanned};

/// One thing that a unit reads.
struct Read<'p> {
    unit: UnitIx,
    position: u32,
    span: Span,
    word: &'static str,
    /// What stands behind it in `inputs`: patterns with `!` take something out of it.
    behind: &'p [Spanned<Pattern>],
}

/// How a writer stands to a reader, if it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Unordered,
    OrderOnly,
    Later,
}

/// A reader, a writer and what they meet at.
struct Finding {
    reader: UnitIx,
    word: &'static str,
    writer: Use,
    path: String,
    fault: Fault,
}

/// More writers than this are not all named.
const MOST_NAMED: usize = 4;

pub(super) fn check(context: &Context<'_>, writers: &Writers<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    let units = &context.plan.units;
    let files: Vec<(UnitIx, &'static str, Span, Pattern)> = units
        .iter()
        .enumerate()
        .flat_map(|(at, unit)| {
            let refs = unit.refs.iter().map(|reference| ("ref", reference));
            let rules = unit.rules.iter().map(|reference| ("rules", reference));
            refs.chain(rules).map(move |(word, reference)| {
                (UnitIx(at as u32), word, reference.span, Pattern::of_path(reference.path.as_str()))
            })
        })
        .collect();
    let mut reads: Vec<(&Pattern, Read<'_>)> = Vec::new();
    let mut add = |pattern, unit, span, word, behind| {
        if let Some(position) = context.order.position(unit) {
            reads.push((pattern, Read { unit, position, span, word, behind }));
        }
    };
    for (at, unit) in units.iter().enumerate() {
        for (index, input) in unit.inputs.iter().enumerate().filter(|(_, input)| !input.value.negated()) {
            add(&input.value, UnitIx(at as u32), input.span, "inputs", &unit.inputs[index + 1..]);
        }
    }
    files.iter().for_each(|(unit, word, span, pattern)| add(pattern, *unit, *span, word, &[]));
    let (patterns, reads) = grouped(reads);

    let chains = chains(context, By::NeedsAndGates, writers);
    let mut asked: Vec<(&Read<'_>, Use, usize, usize)> = Vec::new();
    for overlap in writers.written.met_by(&patterns) {
        let uses = &writers.uses[overlap.second];
        for read in &reads[overlap.first] {
            for writer in worth_asking(uses, chains[overlap.second], read) {
                asked.push((read, *writer, overlap.first, overlap.second));
            }
        }
    }
    let before: Vec<(UnitIx, UnitIx)> =
        asked.iter().map(|(read, writer, ..)| (writer.unit, read.unit)).collect();
    let behind: Vec<(UnitIx, UnitIx)> = before.iter().map(|(writer, reader)| (*reader, *writer)).collect();
    let needed = context.order.comes_after(By::NeedsAndGates, &before);
    let ordered = context.order.comes_after(By::Anything, &before);
    let later = context.order.comes_after(By::Anything, &behind);
    let mut findings: BTreeMap<Span, Vec<Finding>> = BTreeMap::new();
    for (at, (read, writer, pattern, written)) in asked.into_iter().enumerate() {
        let fault = match (needed[at], ordered[at], later[at]) {
            (true, _, _) => continue,
            (_, true, _) => Fault::OrderOnly,
            (_, _, true) => Fault::Later,
            _ => Fault::Unordered,
        };
        // Paths that the unit writes itself, or takes out by `!`, are none of its inputs.
        let unit = &units[read.unit.0 as usize];
        let own = scope(unit).map(|pattern| &pattern.value);
        let behind = read.behind.iter().map(|input| &input.value).filter(|pattern| pattern.negated());
        let excluded: Vec<&Pattern> = behind.chain(own).collect();
        let Some(path) = overlap_outside(patterns[pattern], writers.patterns()[written], &excluded) else {
            continue;
        };
        let finding = Finding { reader: read.unit, word: read.word, writer, path, fault };
        findings.entry(read.span).or_default().push(finding);
    }
    for (span, mut findings) in findings {
        findings.sort_by_key(|finding| (finding.fault, finding.reader, finding.writer.unit));
        diagnostics.push(found(context, span, &findings));
    }
}

/// The writers whose place must be known: of a chain, the last before the reader speaks for those before it, and
/// the first behind it for those behind.
fn worth_asking<'u>(uses: &'u [Use], chain: bool, read: &Read<'_>) -> impl Iterator<Item = &'u Use> {
    let at = uses.partition_point(|writer| writer.position < read.position);
    let own = uses.get(at).is_some_and(|writer| writer.unit == read.unit);
    let behind = at + usize::from(own);
    let from = if chain { at.saturating_sub(1) } else { 0 };
    let to = if chain { (behind + 1).min(uses.len()) } else { uses.len() };
    uses[from..at].iter().chain(&uses[behind..to])
}

fn found(context: &Context<'_>, span: Span, findings: &[Finding]) -> Diagnostic {
    let units = &context.plan.units;
    let unit = |ix: UnitIx| -> &Unit { &units[ix.0 as usize] };
    let first = &findings[0];
    let (reader, writer) = (&unit(first.reader).id.value, &unit(first.writer.unit).id.value);
    let path = &first.path;
    let mut diagnostic = match first.fault {
        Fault::Later => Diagnostic::new(
            "input-written-later",
            span,
            format!("`{reader}` reads `{path}`, which `{writer}` writes later"),
        )
        .help(format!("let `{reader}` need `{writer}`, if it can come later"))
        .help(format!(
            "or take the path out of the {} of `{reader}`: what it reads must not change behind it",
            first.word
        )),
        fault => {
            let how = match fault {
                Fault::OrderOnly => {
                    format!("which `{writer}` writes; `{reader}` comes after it but does not need it")
                }
                _ => format!("which `{writer}` writes; the two have no order"),
            };
            Diagnostic::new("input-without-edge", span, format!("`{reader}` reads `{path}`, {how}"))
                .help(format!("add `needs {}` to `{reader}`", edit::name(writer)))
                .help(if first.word == "inputs" {
                    "or take the path out of `inputs`: code that a unit edits or builds on is no input, specifications are".to_owned()
                } else {
                    format!("or take the path out of the `writes` of `{writer}`, or out of `{}`", first.word)
                })
        }
    };
    diagnostic = diagnostic.at(format!("read by `{reader}`"));
    let mut named: Vec<UnitIx> = Vec::new();
    for finding in findings {
        let writer = finding.writer;
        if named.contains(&writer.unit) || named.len() == MOST_NAMED {
            continue;
        }
        named.push(writer.unit);
        let id = &unit(writer.unit).id.value;
        diagnostic = diagnostic.label(
            writer.span,
            match finding.fault {
                Fault::Later => format!("`{id}` writes it, and comes later"),
                Fault::OrderOnly => format!("`{id}` writes it, and comes before only by `after`"),
                Fault::Unordered => format!("`{id}` writes it"),
            },
        );
    }
    let mut readers: Vec<UnitIx> = findings.iter().map(|finding| finding.reader).collect();
    readers.sort();
    readers.dedup();
    if readers.len() > 1 {
        return diagnostic.help(format!("this stands for {} units that read it", readers.len()));
    }
    let edit = edit::add_line(unit(first.reader), &format!("needs {}", edit::name(writer)), context.map);
    match edit {
        Some(edit) if first.fault != Fault::Later => {
            diagnostic.fix(format!("let `{reader}` need `{writer}`"), Applicability::Unsafe, vec![edit])
        }
        _ => diagnostic,
    }
}
