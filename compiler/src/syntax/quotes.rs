//! Where strings end, and what the author most likely meant when they do not.
//!
//! Does not know what a string says (`strings` does), nor any other token.
//! Source: KDL 2.0.1, sections "Quoted String", "Multi-line String" and "Raw String".

use super::lexer::{Class, FAILED_SEARCHES, Kind, Lexer, class, is_newline, is_space, past_plain_text};
use crate::diagnostic::Applicability;

/// How far a closing quote is looked for beyond the line of its opening quote.
const QUOTE_SEARCH: usize = 4096;

impl Lexer<'_, '_> {
    /// A string whose opening quotes follow `hashes` number signs at `self.at`.
    pub(super) fn string(&mut self, hashes: usize) {
        let quote = self.at + hashes;
        if self.bytes[quote..].starts_with(b"\"\"\"") {
            self.multiline_string(hashes);
        } else {
            self.one_line_string(hashes);
        }
    }

    /// True if `hashes` number signs stand at `at`.
    fn hashes_at(&self, at: usize, hashes: usize) -> bool {
        hashes == 0 || self.bytes.get(at..at + hashes).is_some_and(|run| run.iter().all(|byte| *byte == b'#'))
    }

    /// Past the backslash at `at` and what it escapes.
    fn past_escape(&self, at: usize) -> usize {
        let mut end = at + 1;
        let mut blank = self.blank_len(end);
        if blank == 0 {
            return if matches!(self.byte(end), b'"' | b'\\') { end + 1 } else { end };
        }
        while blank > 0 {
            end += blank;
            blank = self.blank_len(end);
        }
        end
    }

    fn one_line_string(&mut self, hashes: usize) {
        let start = self.at;
        let kind = if hashes > 0 { Kind::Raw } else { Kind::Quoted };
        let mut at = start + hashes + 1;
        let mut escaped = false;
        let mut forbidden = false;
        loop {
            at = past_plain_text(self.bytes, at);
            let Some(byte) = self.bytes.get(at) else { break };
            match class(*byte) {
                Class::Quote if self.hashes_at(at + 1, hashes) => {
                    let end = at + 1 + hashes;
                    let flawed = forbidden && self.check_forbidden(start, end, true);
                    return self.push(kind, end, escaped, flawed, false);
                }
                Class::Backslash if hashes == 0 => {
                    escaped = true;
                    at = self.past_escape(at);
                }
                Class::Newline => break,
                Class::Lead if self.newline_len(at) > 0 => break,
                Class::Control | Class::Lead => {
                    forbidden = true;
                    at += 1;
                }
                _ => at += 1,
            }
        }
        self.unclosed_string(kind, hashes, at, escaped);
    }

    /// A string that begins at `self.at` and has no closing quote before `line_end`.
    fn unclosed_string(&mut self, kind: Kind, hashes: usize, line_end: usize, escaped: bool) {
        let start = self.at;
        let quote = start + hashes;
        let closing = if hashes > 0 { format!("\"{}", "#".repeat(hashes.min(8))) } else { "\"".to_owned() };
        if let Some(end) = (hashes == 0).then(|| self.closing_quote_on_a_later_line(line_end)).flatten() {
            let found = self
                .mistakes
                .error(start, end, "a string in single quotation marks must end on its line")
                .help("for text of several lines write `\"\"\"` at the end of the line, the text on lines of its own, and `\"\"\"` alone on the last line");
            self.mistakes.add_about_quotes(found);
            self.check_forbidden(start, end, true);
            return self.push(kind, end, true, true, false);
        }
        let end = self.without_trailing_punctuation(quote + 1, line_end);
        let span = self.mistakes.span(end, end);
        let found = self
            .mistakes
            .error(start, quote + 1, "this string has no closing quote")
            .at("it begins here")
            .help(format!("write `{closing}` where the text ends"))
            .replace(span, closing, "close the string at the end of the line", Applicability::Unsafe);
        self.mistakes.add_about_quotes(found);
        self.check_forbidden(start, end, true);
        self.push(kind, end, escaped, true, true);
    }

    /// Where an unclosed string of the line most likely ends: a comment, and braces and semicolons that stand apart at
    /// the line's end, are the node's, not the text's.
    fn without_trailing_punctuation(&self, from: usize, line_end: usize) -> usize {
        let comment = self.bytes[from..line_end].windows(4).position(|bytes| bytes == b" // ");
        let mut end = comment.map_or(line_end, |at| from + at);
        loop {
            let before = self.bytes[from..end].iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
            let Some(last) = before.map(|at| from + at) else { return from };
            let apart = last == from || matches!(self.bytes[last - 1], b' ' | b'\t' | b';' | b'{' | b'}');
            match self.bytes[last] {
                b'{' | b'}' if apart => end = last,
                b';' => end = last,
                _ => return last + 1,
            }
        }
    }

    /// The end of a string that goes on past its line, if a quote on one of the next lines looks like a closing one:
    /// opening quotes follow a space or `=`, closing ones follow text.
    fn closing_quote_on_a_later_line(&self, from: usize) -> Option<usize> {
        let window = &self.bytes[from..(from + QUOTE_SEARCH).min(self.bytes.len())];
        let at = from + window.iter().position(|byte| *byte == b'"')?;
        let before = self.bytes[at - 1];
        let line = self.text[from..at].rsplit(is_newline).next().unwrap_or("");
        let alone = line.chars().all(is_space);
        let closes = alone || !matches!(before, b' ' | b'\t' | b'=' | b'(' | b'#' | b'\\');
        let after = self.byte(at + 1);
        let ends = at + 1 == self.bytes.len()
            || matches!(after, b' ' | b'\t' | b';' | b'{' | b'}')
            || self.newline_len(at + 1) > 0;
        (closes && ends).then_some(at + 1)
    }

    fn multiline_string(&mut self, hashes: usize) {
        let start = self.at;
        let kind = if hashes > 0 { Kind::RawMultiline } else { Kind::Multiline };
        let body = start + hashes + 3;
        let (close, escaped) = self.closing_quotes(body, hashes);
        let line = self.line_start(start);
        let indentation = self.indentation(line);
        let Some(close) =
            close.filter(|close| !self.looks_like_an_opening(*close, hashes, start, indentation))
        else {
            return self.unclosed_multiline_string(kind, hashes, indentation, escaped);
        };
        let end = close + 3 + hashes;
        let mut flawed = self.check_forbidden(start, end, true);
        if self.newline_len(body) == 0 {
            self.report_text_after_opening_quotes(hashes, close);
            flawed = true;
        }
        self.push(kind, end, escaped, flawed, false);
    }

    /// Where the closing quotes of a multi-line string stand, and whether a backslash stands before them.
    fn closing_quotes(&mut self, body: usize, hashes: usize) -> (Option<usize>, bool) {
        let mut escaped = false;
        if self.failed_searches >= FAILED_SEARCHES {
            return (None, true);
        }
        let mut at = body;
        while at < self.bytes.len() {
            match self.bytes[at] {
                b'"' if self.bytes[at..].starts_with(b"\"\"\"") && self.hashes_at(at + 3, hashes) => {
                    return (Some(at), escaped);
                }
                b'\\' if hashes == 0 => {
                    escaped = true;
                    at = self.past_escape(at);
                }
                _ => at += 1,
            }
        }
        self.failed_searches += 1;
        (None, escaped)
    }

    /// True if the quotes at `close` are more likely the beginning of the next string: they end a line that begins with
    /// something else and stands no deeper than the line on which our string began.
    fn looks_like_an_opening(
        &mut self,
        close: usize,
        hashes: usize,
        start: usize,
        indentation: usize,
    ) -> bool {
        let end = close + 3 + hashes;
        let line = self.line_start(close);
        let looks = line > start
            && self.newline_len(end) > 0
            && self.indentation(line) <= indentation
            // Spaces and escaped spaces may stand before closing quotes; anything else may not.
            && !self.text[line..close].chars().all(|c| is_space(c) || c == '\\');
        if looks {
            self.failed_searches += 1;
        }
        looks
    }

    fn unclosed_multiline_string(&mut self, kind: Kind, hashes: usize, indentation: usize, escaped: bool) {
        let start = self.at;
        let mut end = self.line_end(start);
        let mut line = end + self.newline_len(end);
        while line < self.bytes.len() {
            let line_end = self.line_end(line);
            let blank = self.text[line..line_end].trim().is_empty();
            if !blank && self.indentation(line) <= indentation {
                break;
            }
            if !blank {
                end = line_end;
            }
            line = line_end + self.newline_len(line_end);
            if line == line_end {
                break;
            }
        }
        let closing = format!("\"\"\"{}", "#".repeat(hashes.min(8)));
        let found = self
            .mistakes
            .error(start, start + hashes + 3, "this multi-line string is never closed")
            .at("it begins here")
            .help(format!("write `{closing}` on a line of its own, indented like the text"));
        self.mistakes.add_about_quotes(found);
        self.check_forbidden(start, end, true);
        self.push(kind, end, escaped, true, true);
    }

    fn report_text_after_opening_quotes(&mut self, hashes: usize, close: usize) {
        let start = self.at;
        let body = start + hashes + 3;
        // Bounded by the string: a long line may hold many of them.
        let line_end = self.text[body..close].find(is_newline).map_or(close, |at| body + at);
        let rest = self.mistakes.span(body, line_end);
        let found = if line_end < close && self.text[body..line_end].trim().is_empty() {
            self.mistakes
                .error(start, body, "the line must end right after `\"\"\"`")
                .label(rest, "these spaces are in the way")
                .replace(rest, "", "delete the spaces", Applicability::Safe)
                .help("delete the spaces after `\"\"\"`")
        } else if close == line_end {
            let text = &self.text[body..close];
            let whole = self.mistakes.span(start, close + 3 + hashes);
            let found = self
                .mistakes
                .error(start, body, "text in `\"\"\"` must begin on the next line")
                .help("for text of one line, one quotation mark on each side is enough: `\"text\"`");
            if hashes == 0 && !text.is_empty() && !text.contains('"') {
                found.replace(
                    whole,
                    format!("\"{text}\""),
                    "use one quotation mark on each side",
                    Applicability::Safe,
                )
            } else {
                found
            }
        } else {
            self.mistakes
                .error(start, body, "text in `\"\"\"` must begin on the next line")
                .label(rest, "move this down")
                .help("end the line after `\"\"\"` and indent the text like the closing `\"\"\"`")
        };
        self.mistakes.add_about_quotes(found);
    }
}
