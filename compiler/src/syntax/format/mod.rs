//! `loopc fmt`: one layout for every KDL text, with each literal and each comment as it was written.
//!
//! Does not know which nodes exist, nor files. How text is laid out is `spec/language.md`, section "Layout".

mod layout;
mod literal;
mod print;

#[cfg(test)]
mod tests;

use super::lexer::{self, Kind};
use super::mistakes::Mistakes;
use super::{Document, parse};
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::FileId;

/// Columns that a line may have before it is broken where it can be.
pub const WIDTH: usize = 100;

/// Columns of one level of indentation.
pub const INDENT: usize = 4;

/// Deeper levels are not indented further, so that no text grows with the square of its depth.
pub const DEEPEST: usize = 50;

/// What came of formatting a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Formatted {
    /// The text in its layout; equal to what went in if there was nothing to do.
    Text(String),
    /// The text is not KDL: its syntax errors, and the warnings between them.
    Syntax(Vec<Diagnostic>),
    /// What was laid out would not say the same as what went in. That is a mistake of this module, and nobody's file may
    /// suffer from it.
    Unsound,
}

/// Lays out `text`. A plan that is wrong in any other way than its syntax is laid out all the same.
pub fn format(file: FileId, text: &str) -> Formatted {
    let before = parse(file, text);
    if before.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Formatted::Syntax(before.diagnostics);
    }
    let laid_out = print::print(&layout::steps(text), layout::line_break(text));
    if laid_out == text {
        return Formatted::Text(laid_out);
    }
    let after = parse(file, &laid_out);
    let sound = after.diagnostics.iter().all(|found| found.severity != Severity::Error)
        && says_the_same(&before.document, &after.document)
        && comments(text) == comments(&laid_out);
    if sound { Formatted::Text(laid_out) } else { Formatted::Unsound }
}

/// True if the two documents differ in nothing but places.
fn says_the_same(a: &Document, b: &Document) -> bool {
    a.nodes.len() == b.nodes.len()
        && a.entries.len() == b.entries.len()
        && a.nodes.iter().zip(&b.nodes).all(|(a, b)| {
            a.name == b.name
                && a.ty.as_ref().map(|ty| &ty.name) == b.ty.as_ref().map(|ty| &ty.name)
                && a.parent == b.parent
                && a.entries == b.entries
                && a.children_span.is_some() == b.children_span.is_some()
        })
        && a.entries.iter().zip(&b.entries).all(|(a, b)| {
            a.value == b.value
                && a.ty.as_ref().map(|ty| &ty.name) == b.ty.as_ref().map(|ty| &ty.name)
                && a.key.as_ref().map(|key| &key.name) == b.key.as_ref().map(|key| &key.name)
        })
}

/// The text of every comment without its white space, in order.
fn comments(text: &str) -> Vec<String> {
    let mut mistakes = Mistakes::new(FileId(0), text);
    let tokens = lexer::lex(text, &mut mistakes);
    let mut found = Vec::new();
    for pair in tokens.windows(2) {
        if matches!(pair[0].kind, Kind::LineComment | Kind::BlockComment | Kind::LineContinuation) {
            let text = &text[pair[0].start as usize..pair[1].start as usize];
            let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            // A backslash that continues a line is layout; what stands behind it is not.
            let bare = match pair[0].kind {
                Kind::LineContinuation => bare[1..].to_owned(),
                _ => bare,
            };
            found.push(bare);
        }
    }
    // A comment may move in or out of a line continuation, so that where one ends is no matter.
    found.retain(|comment| !comment.is_empty());
    vec![found.concat()]
}
