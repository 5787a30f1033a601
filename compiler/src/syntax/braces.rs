//! Finds out which brace is missing or too many, and puts the tokens right, so that the parser meets balanced blocks.
//!
//! Does not know nodes; it looks at braces and at how far lines are indented. Balanced files pass unseen: KDL gives no
//! meaning to indentation.

use super::lexer::{Kind, Token};
use super::mistakes::{Mistakes, shown};
use crate::diagnostic::{Applicability, Diagnostic, Edit};

/// More unbalanced braces than this are counted, not told one by one.
const MOST_TOLD: usize = 10;

/// Deeper indentation counts as this deep.
const DEEPEST: usize = 1023;

const TAB: usize = 4;

/// What to do to the tokens, at the token with that index.
#[derive(Clone, Copy, Debug)]
struct Repair {
    at: usize,
    kind: RepairKind,
}

#[derive(Clone, Copy, Debug)]
enum RepairKind {
    /// The block that this token opens ends before the token `at`.
    CloseBefore { open: usize },
    /// The token `at` closes nothing. A line whose `{` may be missing, by its first token.
    Surplus { suspect: Option<usize> },
}

/// The tokens with a [`Kind::MissingClose`] for each brace that is missing, and [`Kind::SurplusClose`] in place of each
/// that closes nothing: after this, `Open` and `Close` or `MissingClose` pair up.
pub(super) fn balance(mut tokens: Vec<Token>, mistakes: &mut Mistakes<'_>) -> Vec<Token> {
    if is_balanced(&tokens) {
        return tokens;
    }
    // Both readings pair the braces; the one by indentation is nearer to what the author meant. It sees a missing and a
    // surplus brace where counting sees none, so it may see more mistakes, but not without reason: a file whose lines
    // are indented at random would show it many.
    let plain = by_counting(&tokens);
    let (indented, fitting) = by_indentation(&tokens, mistakes.text);
    let trusted = indented.len() <= plain.len() + fitting;
    let mut repairs = if trusted { indented } else { plain };
    report(&tokens, &repairs, mistakes);

    // Insertions in one pass; at one place they keep their order (inner blocks end first).
    repairs.sort_by_key(|repair| repair.at);
    let mut repaired = Vec::with_capacity(tokens.len() + repairs.len());
    let mut next = repairs.iter().peekable();
    for (at, token) in tokens.iter_mut().enumerate() {
        while let Some(repair) = next.next_if(|repair| repair.at == at) {
            match repair.kind {
                RepairKind::CloseBefore { .. } => {
                    repaired.push(Token {
                        kind: Kind::MissingClose,
                        escaped: false,
                        flawed: true,
                        open: false,
                        ..*token
                    });
                }
                RepairKind::Surplus { .. } => token.kind = Kind::SurplusClose,
            }
        }
        repaired.push(*token);
    }
    repaired
}

fn is_balanced(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close if depth == 0 => return false,
            Kind::Close => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

/// Pairs braces as KDL does, whatever the lines look like.
fn by_counting(tokens: &[Token]) -> Vec<Repair> {
    let mut open = Vec::new();
    let mut repairs = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open => open.push(at),
            Kind::Close if open.pop().is_none() => {
                repairs.push(Repair { at, kind: RepairKind::Surplus { suspect: None } });
            }
            _ => {}
        }
    }
    let end = tokens.len() - 1;
    repairs.extend(
        open.iter().rev().map(|open| Repair { at: end, kind: RepairKind::CloseBefore { open: *open } }),
    );
    repairs
}

/// A block that is open while lines are read.
struct Block {
    open: usize,
    /// Indentation of the line on which its node begins.
    indentation: usize,
    /// Indentation of the first line inside it.
    inner: Option<usize>,
    /// Something stands behind the `{` on its line.
    inline: bool,
    line: usize,
}

impl Block {
    /// True if the author indents what is in this block, so that a line further left must lie outside.
    fn is_indented(&self) -> bool {
        self.inline || self.inner.is_some_and(|inner| inner > self.indentation)
    }
}

/// Reads the file's lines and what stands first on each.
struct Reading {
    blocks: Vec<Block>,
    /// How many open blocks have each indentation.
    open_at: Vec<u32>,
    repairs: Vec<Repair>,
    /// Blocks whose `}` stands under the line of their `{`, with deeper lines between: the author indents.
    fitting: usize,
}

impl Reading {
    fn push(&mut self, block: Block) {
        self.open_at[block.indentation] += 1;
        self.blocks.push(block);
    }

    fn pop(&mut self) -> Option<Block> {
        let block = self.blocks.pop()?;
        self.open_at[block.indentation] -= 1;
        Some(block)
    }

    fn close_before(&mut self, at: usize) {
        if let Some(block) = self.pop() {
            self.repairs.push(Repair { at, kind: RepairKind::CloseBefore { open: block.open } });
        }
    }
}

/// Also how many blocks are indented as one expects.
fn by_indentation(tokens: &[Token], text: &str) -> (Vec<Repair>, usize) {
    let mut reading =
        Reading { blocks: Vec::new(), open_at: vec![0; DEEPEST + 1], repairs: Vec::new(), fitting: 0 };
    let mut line = 0;
    let mut indentation = 0;
    let mut first_on_line = true;
    // The line before: its first token, its indentation, whether it opened a block.
    let mut before: Option<(usize, usize, bool)> = None;
    // The last line without `{` after which lines stood deeper.
    let mut suspect: Option<(usize, usize)> = None;

    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Newline => {
                line += 1;
                indentation = 0;
                first_on_line = true;
                continue;
            }
            Kind::Space => {
                if first_on_line {
                    let end = tokens[at + 1].start as usize;
                    let wide: usize = text[token.start as usize..end]
                        .chars()
                        .map(|c| if c == '\t' { TAB } else { 1 })
                        .sum();
                    indentation = (indentation + wide).min(DEEPEST);
                }
                continue;
            }
            Kind::BlockComment | Kind::LineComment | Kind::LineContinuation | Kind::End => continue,
            _ => {}
        }

        let begins_line = std::mem::replace(&mut first_on_line, false);
        if begins_line && token.kind != Kind::Close {
            if token.kind != Kind::Open {
                while reading
                    .blocks
                    .last()
                    .is_some_and(|top| top.is_indented() && indentation <= top.indentation)
                {
                    reading.close_before(at);
                }
            }
            if let Some(top) = reading.blocks.last_mut().filter(|top| !top.inline && top.inner.is_none()) {
                top.inner = Some(indentation);
            }
            if let Some((first, outer, false)) = before
                && outer < indentation
            {
                suspect = Some((first, outer));
            }
            before = Some((at, indentation, false));
        }
        match token.kind {
            Kind::Open => {
                if let Some((_, _, opened)) = &mut before {
                    *opened = true;
                }
                reading.push(Block { open: at, indentation, inner: None, inline: false, line });
            }
            Kind::Close => {
                let suspect =
                    suspect.filter(|(_, outer)| begins_line && *outer == indentation).map(|(first, _)| first);
                close(&mut reading, at, indentation, begins_line, suspect);
            }
            _ => {
                if let Some(top) = reading.blocks.last_mut().filter(|top| top.line == line) {
                    top.inline = true;
                }
            }
        }
    }
    while !reading.blocks.is_empty() {
        reading.close_before(tokens.len() - 1);
    }
    (reading.repairs, reading.fitting)
}

/// A `}` at `at`, on a line indented by `indentation`.
fn close(reading: &mut Reading, at: usize, indentation: usize, begins_line: bool, suspect: Option<usize>) {
    let Some(top) = reading.blocks.last() else {
        return reading.repairs.push(Repair { at, kind: RepairKind::Surplus { suspect } });
    };
    if begins_line && top.indentation > indentation && reading.open_at[indentation] > 0 {
        // It stands under the line of an outer block and closes that one: those inside are not closed.
        while reading.blocks.last().is_some_and(|top| top.indentation != indentation) {
            reading.close_before(at);
        }
    } else if begins_line
        && top.indentation < indentation
        && top.inner.is_some_and(|inner| inner > top.indentation && indentation >= inner)
    {
        // It stands among the lines of the block, not at its end.
        return reading.repairs.push(Repair { at, kind: RepairKind::Surplus { suspect } });
    }
    let fits = |block: Block| {
        block.indentation == indentation && block.inner.is_some_and(|inner| inner > indentation)
    };
    if reading.pop().is_some_and(|block| begins_line && fits(block)) {
        reading.fitting += 1;
    }
}

// ---- telling ----

fn report(tokens: &[Token], repairs: &[Repair], mistakes: &mut Mistakes<'_>) {
    for (told, repair) in repairs.iter().enumerate() {
        let mut found = match repair.kind {
            RepairKind::CloseBefore { open } => unclosed(tokens, open, repair.at, mistakes),
            RepairKind::Surplus { suspect } => surplus(tokens, repair.at, suspect, mistakes),
        };
        let more = repairs.len() - told - 1;
        if told + 1 == MOST_TOLD && more > 0 {
            found = found.help(format!("{more} more braces of this file have no partner"));
            mistakes.add(found);
            return;
        }
        mistakes.add(found);
    }
}

fn unclosed(tokens: &[Token], open: usize, at: usize, mistakes: &Mistakes<'_>) -> Diagnostic {
    let text = mistakes.text;
    let start = tokens[open].start as usize;
    let owner = header(tokens, open, text);
    let shower = &tokens[at];
    let place = shower.start as usize;
    let margin = margin_of_line(text, start);
    let message = match owner {
        Some(owner) => format!("the `{{` of {} is never closed", shown(owner)),
        None => "this `{` is never closed".to_owned(),
    };
    let found = mistakes.error(start, start + 1, message).at("this `{` has no `}`");
    if shower.kind == Kind::End {
        let gap = if text.ends_with('\n') { "" } else { "\n" };
        return found
            .label(mistakes.span(place, place), "the file ends here")
            .help("add a `}` where the block ends")
            .fix(
                "close the block at the end of the file",
                Applicability::Unsafe,
                vec![Edit { span: mistakes.span(place, place), text: format!("{gap}{margin}}}\n") }],
            );
    }
    let line = text[..place].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let end = tokens[at + 1].start as usize;
    let (label, help) = if shower.kind == Kind::Close {
        (
            "this `}` is indented like an outer block, and closes that one".to_owned(),
            "add a `}` before this line",
        )
    } else {
        (
            match owner.and_then(|owner| owner.split_whitespace().next()) {
                Some(name) => {
                    format!("this stands no deeper than `{name}`, so the block must have ended before it")
                }
                None => "this stands no deeper than the block, which must have ended before it".to_owned(),
            },
            "add a `}` on a line of its own before it",
        )
    };
    found.label(mistakes.span(place, end), label).help(help).fix(
        "close the block before this line",
        Applicability::Unsafe,
        vec![Edit { span: mistakes.span(line, line), text: format!("{margin}}}\n") }],
    )
}

fn surplus(tokens: &[Token], at: usize, suspect: Option<usize>, mistakes: &Mistakes<'_>) -> Diagnostic {
    let start = tokens[at].start as usize;
    let span = mistakes.span(start, start + 1);
    let found = mistakes.error(start, start + 1, "this `}` closes nothing: no `{` is open for it");
    match suspect {
        Some(first) => {
            let from = tokens[first].start as usize;
            let rest = &mistakes.text[from..];
            let line = rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())].trim_end();
            found
                .label(
                    mistakes.span(from, from + line.len()),
                    "this line has no `{`, though the lines after it are indented",
                )
                .help("add the missing `{` at the end of that line, or delete the `}`")
        }
        None => found.help("delete it, or add the `{` that is missing before it"),
    }
    .replace(span, "", "delete the `}`", Applicability::Unsafe)
}

/// The words before a `{`, back to where its node begins.
fn header<'t>(tokens: &[Token], open: usize, text: &'t str) -> Option<&'t str> {
    let mut first = open;
    while first > 0
        && !matches!(
            tokens[first - 1].kind,
            Kind::Newline | Kind::LineComment | Kind::Semicolon | Kind::Open | Kind::Close | Kind::End
        )
    {
        first -= 1;
    }
    let words = text[tokens[first].start as usize..tokens[open].start as usize].trim();
    (!words.is_empty()).then_some(words)
}

/// The white space with which the line of `at` begins.
fn margin_of_line(text: &str, at: usize) -> &str {
    let line = &text[text[..at].rfind(['\n', '\r']).map_or(0, |at| at + 1)..at];
    &line[..line.find(|c| c != ' ' && c != '\t').unwrap_or(line.len())]
}
