//! What spans several lines moves with them: multi-line strings get the margin of their place, comments go along.
//!
//! Does not change what a string says; where that cannot be had, the string stays as it is. Does not know where it stands.

use std::borrow::Cow;

use super::super::lexer::{self, Kind, Token, is_newline, is_space};
use super::super::mistakes::Mistakes;
use super::super::strings;
use crate::source::FileId;

/// A multi-line string whose lines and closing quotes begin in column `margin`.
pub(super) fn with_margin<'t>(text: &'t str, margin: usize, line_break: &str) -> Cow<'t, str> {
    let lines = lines(text);
    let [opening, body @ .., closing] = lines.as_slice() else { return text.into() };
    let old = &closing[..closing.len() - closing.trim_start_matches(is_space).len()];
    let mut moved = String::with_capacity(text.len() + lines.len() * margin);
    moved.push_str(opening);
    for line in body {
        moved.push_str(line_break);
        if line.chars().all(is_space) {
            continue;
        }
        match line.strip_prefix(old) {
            Some(line) => {
                moved.extend(std::iter::repeat_n(' ', margin));
                moved.push_str(line);
            }
            // It goes on from a line that ends in a backslash: its spaces say nothing.
            None => moved.push_str(line),
        }
    }
    moved.push_str(line_break);
    moved.extend(std::iter::repeat_n(' ', margin));
    moved.push_str(&closing[old.len()..]);
    match (decoded(text), decoded(&moved)) {
        (Some(before), Some(after)) if before == after => moved.into(),
        _ => text.into(),
    }
}

/// What the string says, if the text is one multi-line string and nothing else.
fn decoded(text: &str) -> Option<String> {
    let mut mistakes = Mistakes::new(FileId(0), text);
    let tokens = lexer::lex(text, &mut mistakes);
    let [token @ Token { kind: Kind::Multiline | Kind::RawMultiline, .. }, _] = tokens.as_slice() else {
        return None;
    };
    let (value, good) = strings::decode(*token, text.len(), &mut mistakes);
    good.then(|| value.to_string())
}

/// A comment of several lines that moves from one column to another, and its later lines with it as far as they can.
pub(super) fn moved_comment(text: &str, from: usize, to: usize, line_break: &str) -> String {
    let mut moved = String::with_capacity(text.len());
    for (at, line) in lines(text).into_iter().enumerate() {
        if at == 0 {
            moved.push_str(line);
            continue;
        }
        moved.push_str(line_break);
        if line.chars().all(is_space) {
            continue;
        }
        moved.extend(std::iter::repeat_n(' ', to.saturating_sub(from)));
        let spaces = line.bytes().take_while(|byte| *byte == b' ').count();
        moved.push_str(&line[spaces.min(from.saturating_sub(to))..]);
    }
    moved
}

/// The lines of a text, however they end.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(is_newline) {
        lines.push(&rest[..end]);
        let long = rest[end..].starts_with("\r\n");
        let c = rest[end..].chars().next().map_or(1, char::len_utf8);
        rest = &rest[end + if long { 2 } else { c }..];
    }
    lines.push(rest);
    lines
}
