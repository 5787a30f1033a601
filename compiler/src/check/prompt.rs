//! Prompts that take too much of what an agent can keep in mind.
//!
//! Does not know models: the limit is a quarter of what the large ones hold, so that there is room for the code and
//! the work. Four bytes count as one token.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::Context;
use crate::diagnostic::Diagnostic;
use crate::markdown::section;
use crate::plan::{Reference, Role, Unit};
use crate::source::Span;

/// Bytes; about 50,000 tokens.
const LIMIT: u64 = 200 << 10;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut sizes = Sizes { context, files: BTreeMap::new(), sections: BTreeMap::new() };
    // By the largest part: files that many units are told to read are one mistake.
    let mut found: BTreeMap<Span, (&Unit, u64, u64, String, usize)> = BTreeMap::new();
    for unit in context.plan.units.iter().filter(|unit| unit.role == Role::Work) {
        // First with whole files, which costs no reading; then, if that is too much, with their sections.
        let rough = parts(unit).map(|part| sizes.at_most(&part)).sum::<u64>() + small(unit);
        if rough <= LIMIT {
            continue;
        }
        let mut total = small(unit);
        let mut largest: Option<(u64, Part<'_>)> = None;
        for part in parts(unit) {
            let size = sizes.exactly(&part);
            total += size;
            if largest.as_ref().is_none_or(|(known, _)| size > *known) {
                largest = Some((size, part));
            }
        }
        let (size, span, name) = match &largest {
            Some((size, part)) => (*size, part.span(), part.name()),
            None => (total, unit.id.span, "its own words".to_owned()),
        };
        if total > LIMIT {
            found.entry(span).and_modify(|known| known.4 += 1).or_insert((unit, total, size, name, 0));
        }
    }
    for (span, (unit, total, size, name, more)) in found {
        let others = match more {
            0 => String::new(),
            1 => ", and that of another unit as large".to_owned(),
            many => format!(", and those of {many} other units are as large"),
        };
        let message = format!(
            "the prompt of `{}` is about {} KiB long, some {} tokens{others}",
            unit.id.value,
            total >> 10,
            thousands(total / 4)
        );
        diagnostics.push(
            Diagnostic::new("prompt-too-large", span, message)
                .at(format!("{} KiB of it: {name}", size >> 10))
                .help("name the section that matters: `ref \"file#Heading\"`, and so for `rules` and `prompt file=`")
                .help(format!("what agents keep in mind is bounded; above {} KiB the work itself has no room", LIMIT >> 10)),
        );
    }
}

/// `51,200`.
fn thousands(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1_000), number % 1_000),
    }
}

/// A part of a prompt that can be large.
enum Part<'p> {
    Text(&'p str, Span),
    File(&'p Reference),
}

impl Part<'_> {
    fn span(&self) -> Span {
        match self {
            Part::Text(_, span) => *span,
            Part::File(reference) => reference.span,
        }
    }

    fn name(&self) -> String {
        match self {
            Part::Text(..) => "this text".to_owned(),
            Part::File(Reference { path, heading: None, .. }) => format!("`{path}`"),
            Part::File(Reference { path, heading: Some(heading), .. }) => format!("`{path}`, \"{heading}\""),
        }
    }
}

fn parts(unit: &Unit) -> impl Iterator<Item = Part<'_>> {
    let prompt = unit.prompt.iter().map(|part| Part::Text(&part.text, part.span));
    prompt.chain(unit.refs.iter().chain(&unit.rules).map(Part::File))
}

/// What a unit says in few words each.
fn small(unit: &Unit) -> u64 {
    let goal = unit.goal.iter().map(|goal| goal.value.len());
    let criteria = unit.accept.iter().map(|criterion| criterion.text.len());
    let rest = unit.constraints.iter().map(String::len).chain(unit.steps.iter().map(|step| step.value.len()));
    goal.chain(criteria).chain(rest).sum::<usize>() as u64
}

/// Sizes of files and sections, each found once.
struct Sizes<'c> {
    context: &'c Context<'c>,
    files: BTreeMap<&'c Utf8Path, u64>,
    sections: BTreeMap<(&'c Utf8Path, &'c str), u64>,
}

impl<'c> Sizes<'c> {
    fn at_most(&mut self, part: &Part<'c>) -> u64 {
        match part {
            Part::Text(text, _) => text.len() as u64,
            Part::File(reference) => self.file(&reference.path),
        }
    }

    fn exactly(&mut self, part: &Part<'c>) -> u64 {
        let Part::File(Reference { path, heading: Some(heading), .. }) = part else {
            return self.at_most(part);
        };
        let sources = self.context.sources;
        *self.sections.entry((path, heading)).or_insert_with(|| {
            let text = sources.read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            text.and_then(|text| Some(section(&text, heading).ok()?.len() as u64)).unwrap_or(0)
        })
    }

    /// What is missing is another rule's business, or made by a unit that comes earlier.
    fn file(&mut self, path: &'c Utf8Path) -> u64 {
        let sources = self.context.sources;
        *self.files.entry(path).or_insert_with(|| sources.size(path).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{project, told};

    #[test]
    fn what_is_read_is_weighed_once() {
        let large = format!("# A\n\n{}\n# B\n\nshort\n", "word ".repeat(50_000));
        let with = |lines: &str| {
            let plan = format!("feature f {{\n{lines}\n}}\n");
            let project = project("").replace("defaults agent=w", "defaults agent=w { verify test; }");
            told(&[("loop.kdl", &project), ("p.loop.kdl", &plan), ("l.md", &large), ("s.md", "short")])
        };
        let unit = |id: &str, more: &str| format!("unit {id} {{ goal \"g\"; writes {id}; {more}; }}\n");
        assert_eq!(with(&unit("a", "ref \"s.md\"")), [] as [&str; 0]);
        assert_eq!(with(&unit("a", "ref \"l.md#B\"")), [] as [&str; 0], "one section of it is short");
        assert_eq!(
            with(&unit("a", "ref \"l.md\"")),
            [
                "p.loop.kdl:2:34: warning[L0614/prompt-too-large]: the prompt of `a` is about 244 KiB long, some 62,504 tokens"
            ]
        );
        assert_eq!(with(&unit("a", "ref \"l.md#A\"")).len(), 1);
        assert_eq!(with(&unit("a", "prompt file=\"l.md\"")).len(), 1);
        let rules = with(&format!(
            "rules \"l.md\"\n{}{}{}",
            unit("a", "label x"),
            unit("b", "label x"),
            unit("c", "label x")
        ));
        assert_eq!(
            rules,
            [
                "p.loop.kdl:2:7: warning[L0614/prompt-too-large]: the prompt of `a` is about 244 KiB long, some 62,504 tokens, \
              and those of 2 other units are as large"
            ]
        );
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!([thousands(7), thousands(1_000), thousands(1_234_567)], ["7", "1,000", "1,234,567"]);
    }
}
