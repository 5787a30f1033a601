//! What a string token says: escapes resolved, the margin of multi-line strings taken away.
//!
//! Does not know where the string stands, nor what it is used for.
//! Source: KDL 2.0.1, sections "Quoted String", "Multi-line String" and "Raw String".

use super::Text;
use super::lexer::{Kind, Token, is_newline, is_space};
use super::mistakes::{Mistakes, shown};
use crate::diagnostic::{Applicability, Diagnostic};

/// The text of a quoted, raw or multi-line string that covers `start..end`, and whether it is what the author wrote
/// (false: a mistake was found, here or in the lexer).
pub(super) fn decode(token: Token, end: usize, mistakes: &mut Mistakes<'_>) -> (Text, bool) {
    let start = token.start as usize;
    let text = &mistakes.text[start..end];
    match token.kind {
        Kind::Quoted => {
            let body = &text[1..text.len() - usize::from(!token.open)];
            if !token.escaped {
                return (body.into(), !token.flawed);
            }
            let mut value = String::with_capacity(body.len());
            let mut good = true;
            resolve_escapes(body, &mut value, &mut |at, len, fault| {
                good = false;
                report_escape(mistakes, start + 1 + at, len, fault);
            });
            (value.into(), good && !token.flawed)
        }
        Kind::Raw => {
            let hashes = text.bytes().take_while(|byte| *byte == b'#').count();
            let body = &text[hashes + 1..text.len() - if token.open { 0 } else { hashes + 1 }];
            (body.into(), !token.flawed)
        }
        _ => multiline(token, text, mistakes),
    }
}

// ---- escapes ----

#[derive(Clone, Copy)]
enum EscapeFault {
    Unknown,
    /// `\u` without `{`, digits and `}`.
    Malformed,
    /// A number that no character has.
    NotACharacter,
}

/// Appends `body` to `value` with its escapes resolved. `fault` hears of each bad escape: where in `body`, how long.
fn resolve_escapes(body: &str, value: &mut String, fault: &mut impl FnMut(usize, usize, EscapeFault)) {
    let mut rest = 0;
    while let Some(found) = body[rest..].find('\\') {
        let at = rest + found;
        value.push_str(&body[rest..at]);
        let after = at + 1;
        let Some(next) = body[after..].chars().next() else {
            return;
        };
        rest = after + next.len_utf8();
        match next {
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            's' => value.push(' '),
            'b' => value.push('\u{08}'),
            'f' => value.push('\u{0C}'),
            '\\' | '"' => value.push(next),
            'u' => {
                let digits = body[rest..].strip_prefix('{').map(|tail| {
                    let len = tail.bytes().take_while(u8::is_ascii_hexdigit).count();
                    (&tail[..len], tail.as_bytes().get(len) == Some(&b'}'))
                });
                let Some((digits, true)) = digits.filter(|(digits, _)| (1..=6).contains(&digits.len()))
                else {
                    fault(at, 2, EscapeFault::Malformed);
                    value.push_str("\\u");
                    continue;
                };
                let len = digits.len() + 4;
                rest = at + len;
                match u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) {
                    Some(c) => value.push(c),
                    None => {
                        fault(at, len, EscapeFault::NotACharacter);
                        value.push(char::REPLACEMENT_CHARACTER);
                    }
                }
            }
            c if is_space(c) || is_newline(c) => {
                rest = after + blank_prefix(&body[after..]);
            }
            _ => {
                fault(at, 1 + next.len_utf8(), EscapeFault::Unknown);
                value.push('\\');
                value.push(next);
            }
        }
    }
    value.push_str(&body[rest..]);
}

/// Length of the spaces and line breaks with which `text` begins.
fn blank_prefix(text: &str) -> usize {
    text.find(|c: char| !is_space(c) && !is_newline(c)).unwrap_or(text.len())
}

fn report_escape(mistakes: &mut Mistakes<'_>, at: usize, len: usize, fault: EscapeFault) {
    // In a line that a whitespace escape joined, the bytes may lie apart; the backslash is where it is.
    let len = if mistakes.text.is_char_boundary(at + len) { len } else { 1 };
    let written = &mistakes.text[at..at + len];
    let found = match fault {
        EscapeFault::Unknown if written == "\\/" => mistakes
            .error(at, at + len, "`\\/` is not an escape: a slash needs none")
            .replace(mistakes.span(at, at + 1), "", "delete the backslash", Applicability::Safe)
            .help("write `/`"),
        EscapeFault::Unknown => mistakes
            .error(at, at + len, format!("{} is not an escape of KDL", shown(written)))
            .help("for a backslash itself write `\\\\`, or make it a raw string: `#\"…\"#`")
            .help("the escapes are \\n \\r \\t \\\\ \\\" \\b \\f \\s and \\u{…}")
            .replace(mistakes.span(at, at + 1), "\\\\", "double the backslash", Applicability::Unsafe),
        EscapeFault::Malformed => mistakes
            .error(at, at + len, "`\\u` needs one to six hexadecimal digits in braces")
            .help("write for instance `\\u{E9}` for é"),
        EscapeFault::NotACharacter => mistakes
            .error(at, at + len, format!("{} is no Unicode character", shown(written)))
            .help("characters are numbered up to 10FFFF; D800 to DFFF are halves of pairs, not characters: write the whole character's number"),
    };
    mistakes.add(found);
}

// ---- multi-line strings ----

/// A body without its whitespace escapes, and how its offsets lead back to the file.
struct Unfolded {
    text: String,
    /// From this offset of `text` on, a byte stands that many bytes further in the body.
    shifts: Vec<(usize, usize)>,
}

impl Unfolded {
    /// Whitespace escapes are resolved before the margin is taken away, all others after it.
    fn new(body: &str) -> Unfolded {
        let mut unfolded = Unfolded { text: String::with_capacity(body.len()), shifts: Vec::new() };
        let mut rest = 0;
        let mut from = 0;
        while let Some(found) = body[from..].find('\\') {
            let at = from + found;
            let Some(next) = body[at + 1..].chars().next() else { break };
            let blank = blank_prefix(&body[at + 1..]);
            if blank == 0 {
                from = at + 1 + next.len_utf8();
                if next == 'u' {
                    // A whitespace escape cannot stand inside another escape: leave it for the fault to be seen.
                    let tail = body[from..]
                        .trim_start_matches('{')
                        .trim_start_matches(|c: char| c.is_ascii_hexdigit());
                    from = body.len() - tail.len() + usize::from(tail.starts_with('\\'));
                }
                continue;
            }
            unfolded.text.push_str(&body[rest..at]);
            rest = at + 1 + blank;
            from = rest;
            unfolded.shifts.push((unfolded.text.len(), rest - unfolded.text.len()));
        }
        unfolded.text.push_str(&body[rest..]);
        unfolded
    }

    fn in_body(&self, offset: usize) -> usize {
        let before = self.shifts.partition_point(|(from, _)| *from <= offset);
        offset + before.checked_sub(1).map_or(0, |at| self.shifts[at].1)
    }
}

/// The lines of `text` with their offsets, however they end.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let rest = &text[start..];
        match rest.char_indices().find(|(_, c)| is_newline(*c)) {
            None => {
                next = None;
                Some((start, rest))
            }
            Some((end, c)) => {
                let crlf = rest[end..].starts_with("\r\n");
                next = Some(start + end + c.len_utf8() + usize::from(crlf));
                Some((start, &rest[..end]))
            }
        }
    })
}

fn multiline(token: Token, text: &str, mistakes: &mut Mistakes<'_>) -> (Text, bool) {
    let start = token.start as usize;
    let hashes = text.bytes().take_while(|byte| *byte == b'#').count();
    let opening = hashes + 3;
    let tail = &text[opening..text.len() - if token.open { 0 } else { opening }];
    // The line break after the opening quotes is no part of the text. Without one the lexer has reported it.
    let skip = match tail.chars().next() {
        Some('\r') if tail.starts_with("\r\n") => 2,
        Some(c) if is_newline(c) => c.len_utf8(),
        _ => 0,
    };
    let body = &tail[skip..];
    let body_start = start + opening + skip;
    let unfolded = (token.kind == Kind::Multiline && token.escaped).then(|| Unfolded::new(body));
    let (body, place): (&str, &dyn Fn(usize) -> usize) = match &unfolded {
        Some(unfolded) => (&unfolded.text, &|offset| body_start + unfolded.in_body(offset)),
        None => (body, &|offset| body_start + offset),
    };

    let last_start =
        body.char_indices().rev().find(|(_, c)| is_newline(*c)).map_or(0, |(at, c)| at + c.len_utf8());
    let last = &body[last_start..];
    let margin = &last[..last.find(|c: char| !is_space(c)).unwrap_or(last.len())];
    let mut good = !token.flawed;
    if good && margin.len() < last.len() {
        good = false;
        report_crowded_closing_quotes(
            mistakes,
            place(last_start),
            start + text.len() - opening,
            start + text.len(),
        );
    }

    let mut value = String::with_capacity(body.len());
    let mut off_margin: Option<(Diagnostic, usize)> = None;
    for (at, line) in lines(body) {
        if at == last_start && margin.len() == last.len() {
            break;
        }
        if at > 0 {
            value.push('\n');
        }
        if line.chars().all(is_space) {
            continue;
        }
        let kept = match line.strip_prefix(margin) {
            Some(kept) => kept,
            None => {
                if let Some((_, more)) = &mut off_margin {
                    *more += 1;
                } else if !token.flawed {
                    off_margin = Some((
                        off_margin_report(mistakes, place(at), line, margin, start + text.len() - opening),
                        0,
                    ));
                }
                line.trim_start_matches(is_space)
            }
        };
        if token.kind == Kind::Multiline && token.escaped {
            let kept_at = at + line.len() - kept.len();
            resolve_escapes(kept, &mut value, &mut |offset, len, fault| {
                good = false;
                let from = place(kept_at + offset);
                report_escape(mistakes, from, len, fault);
            });
        } else {
            value.push_str(kept);
        }
    }
    if let Some((mut found, more)) = off_margin {
        good = false;
        if more > 0 {
            found.help.push(format!("the same holds for {more} more of its lines"));
        }
        mistakes.add(found);
    }
    (value.into(), good)
}

fn report_crowded_closing_quotes(mistakes: &mut Mistakes<'_>, line: usize, close: usize, end: usize) {
    let found = mistakes
        .error(close, end, "the closing `\"\"\"` must stand on a line of its own")
        .label(mistakes.span(line.min(close), close), "this stands before it")
        .help("put `\"\"\"` on the next line, indented like the text; a `\\` at the end of the line before joins the two lines");
    mistakes.add_about_quotes(found);
}

fn off_margin_report(
    mistakes: &Mistakes<'_>,
    at: usize,
    line: &str,
    margin: &str,
    close: usize,
) -> Diagnostic {
    let indent = line.len() - line.trim_start_matches(is_space).len();
    let mixed = margin.contains('\t') != line[..indent].contains('\t') && indent > 0;
    let found = mistakes
        .error(
            at,
            at + line.chars().next().map_or(0, char::len_utf8),
            "this line of the multi-line string is indented less than its closing `\"\"\"`",
        )
        .label(
            mistakes.span(close, close + 3),
            "the spaces before this are the margin that every line must have",
        );
    if mixed {
        found.help("tabs and spaces are not interchangeable here: indent the line with the same characters as the closing `\"\"\"`")
    } else {
        found.help("indent the line at least as far, or move the closing `\"\"\"` to the left")
    }
}
