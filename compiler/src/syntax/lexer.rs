//! Cuts text into tokens that lie edge to edge: every byte of a file belongs to exactly one token.
//!
//! Does not know nodes: what may follow what is the parser's concern, what a string says that of `strings`.
//! Source: KDL 2.0.1, sections "Whitespace", "Newline", "Disallowed Literal Code Points" and the full grammar.

use super::mistakes::{Mistakes, shown};
use crate::diagnostic::{Applicability, Edit};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Spaces and tabs.
    Space,
    BlockComment,
    /// `//` to the end of the line; the line break is a token of its own.
    LineComment,
    /// `\` to the end of its line, line break included.
    LineContinuation,
    Newline,
    Semicolon,
    Open,
    Close,
    LeftParen,
    RightParen,
    Equals,
    Slashdash,
    /// A bare name or a number.
    Word,
    /// Meant as a word, but with characters that a word cannot have. Reported here.
    BadWord,
    /// `#` and a word.
    Keyword,
    Quoted,
    Multiline,
    Raw,
    RawMultiline,
    /// Where a `}` is missing; without length. Made by `braces`.
    MissingClose,
    /// A `}` that closes nothing. Made by `braces`.
    SurplusClose,
    /// After the last byte.
    End,
}

/// A token; it ends where the next one begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) start: u32,
    pub(super) kind: Kind,
    /// A string with a backslash in it.
    pub(super) escaped: bool,
    /// A mistake inside it has been reported.
    pub(super) flawed: bool,
    /// A string without closing quotes.
    pub(super) open: bool,
}

/// How a byte counts for the lexer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Word,
    Space,
    Newline,
    /// One of `;{}()=`.
    Punctuation,
    Quote,
    Hash,
    Slash,
    Backslash,
    Bracket,
    /// A control character that may not stand in a file.
    Control,
    /// May begin a space, a line break or a forbidden character beyond ASCII.
    Lead,
}

const CLASSES: [Class; 256] = {
    let mut table = [Class::Word; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = Class::Control;
        byte += 1;
    }
    table[0x7F] = Class::Control;
    table[b'\t' as usize] = Class::Space;
    table[b' ' as usize] = Class::Space;
    table[b'\n' as usize] = Class::Newline;
    table[0x0B] = Class::Newline;
    table[0x0C] = Class::Newline;
    table[b'\r' as usize] = Class::Newline;
    let mut at = 0;
    let punctuation = b";{}()=";
    while at < punctuation.len() {
        table[punctuation[at] as usize] = Class::Punctuation;
        at += 1;
    }
    table[b'"' as usize] = Class::Quote;
    table[b'#' as usize] = Class::Hash;
    table[b'/' as usize] = Class::Slash;
    table[b'\\' as usize] = Class::Backslash;
    table[b'[' as usize] = Class::Bracket;
    table[b']' as usize] = Class::Bracket;
    table[0xC2] = Class::Lead;
    table[0xE1] = Class::Lead;
    table[0xE2] = Class::Lead;
    table[0xE3] = Class::Lead;
    table[0xEF] = Class::Lead;
    table
};

pub(super) fn class(byte: u8) -> Class {
    CLASSES[byte as usize]
}

/// Where the first byte from `at` on stands that has a meaning of its own in a string, or may have: a quotation mark, a
/// backslash, a control character or a part of a character beyond ASCII. Looks at eight bytes at a time; within eight bytes
/// of the end of the text it may stop short.
pub(super) fn past_plain_text(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // In each of these the lowest high bit that is set belongs to a byte that is meant; further ones may not.
    let below = |eight: u64, limit: u8| eight.wrapping_sub(ONES * u64::from(limit)) & !eight;
    let equal = |eight: u64, byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    while let Some(eight) = bytes[at..].first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        let special =
            eight | below(eight, 0x20) | equal(eight, b'"') | equal(eight, b'\\') | equal(eight, 0x7F);
        let special = special & HIGH;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

/// KDL's table "Whitespace".
pub(super) fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t' | ' ' | '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}'
    )
}

/// KDL's table "Newline", but for the pair CR LF.
pub(super) fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{0B}' | '\u{0C}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// KDL's table "Disallowed Literal Code Points". A byte order mark at the beginning of a file is no concern of this.
pub(super) fn is_disallowed(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{08}' | '\u{0E}'..='\u{1F}' | '\u{7F}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
    )
}

/// A search for the end of a comment or string that finds none costs the rest of the file. After this many such failures
/// the file is known to be badly broken, and the lexer stops searching far, so that its time stays proportional to the file.
pub(super) const FAILED_SEARCHES: u32 = 8;

/// Forbidden characters told one by one; a file with more of them is not text.
const FORBIDDEN_TOLD: u32 = 10;

pub(super) fn lex<'t>(text: &'t str, mistakes: &mut Mistakes<'t>) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        at: 0,
        // Plans have about five bytes a token.
        tokens: Vec::with_capacity(text.len() / 4 + 2),
        mistakes,
        failed_searches: 0,
        forbidden: 0,
        last_comment_close: None,
        known_line: (0, 0),
    };
    if text.starts_with('\u{FEFF}') {
        lexer.token(Kind::Space, '\u{FEFF}'.len_utf8());
    }
    while lexer.at < lexer.bytes.len() {
        lexer.next();
    }
    lexer.token(Kind::End, text.len());
    lexer.tokens
}

pub(super) struct Lexer<'t, 'm> {
    pub(super) text: &'t str,
    pub(super) bytes: &'t [u8],
    pub(super) at: usize,
    tokens: Vec<Token>,
    pub(super) mistakes: &'m mut Mistakes<'t>,
    pub(super) failed_searches: u32,
    forbidden: u32,
    /// Where the last `*/` of the file begins, once somebody asked; the file's length if there is none.
    last_comment_close: Option<usize>,
    /// A place up to which lines were looked at, and where the line of that place begins.
    known_line: (usize, usize),
}

impl Lexer<'_, '_> {
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn char_at(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }

    /// Ends the token that began at `self.at`.
    fn token(&mut self, kind: Kind, end: usize) {
        self.push(kind, end, false, false, false);
    }

    pub(super) fn push(&mut self, kind: Kind, end: usize, escaped: bool, flawed: bool, open: bool) {
        self.tokens.push(Token { start: self.at as u32, kind, escaped, flawed, open });
        self.at = end;
    }

    fn next(&mut self) {
        let start = self.at;
        match class(self.bytes[start]) {
            Class::Word | Class::Bracket | Class::Control => self.word(),
            Class::Space => {
                let mut end = start + 1;
                while self.bytes.get(end..end + 8) == Some(b"        ") {
                    end += 8;
                }
                while end < self.bytes.len() && class(self.bytes[end]) == Class::Space {
                    end += 1;
                }
                self.token(Kind::Space, end);
            }
            Class::Newline => self.token(Kind::Newline, start + self.newline_len(start)),
            Class::Punctuation => {
                let kind = match self.bytes[start] {
                    b';' => Kind::Semicolon,
                    b'{' => Kind::Open,
                    b'}' => Kind::Close,
                    b'(' => Kind::LeftParen,
                    b')' => Kind::RightParen,
                    _ => Kind::Equals,
                };
                self.token(kind, start + 1);
            }
            Class::Quote => self.string(0),
            Class::Hash => {
                let hashes = self.bytes[start..].iter().take_while(|byte| **byte == b'#').count();
                if self.byte(start + hashes) == b'"' {
                    self.string(hashes);
                } else {
                    self.word();
                }
            }
            Class::Slash => match self.byte(start + 1) {
                b'/' => {
                    let end = self.line_end(start);
                    let flawed = self.check_forbidden(start, end, true);
                    self.push(Kind::LineComment, end, false, flawed, false);
                }
                b'*' => self.block_comment(),
                b'-' => self.token(Kind::Slashdash, start + 2),
                _ => self.word(),
            },
            Class::Backslash => match self.line_continuation_end(start) {
                Some(end) => {
                    let flawed = self.check_forbidden(start, end, true);
                    self.push(Kind::LineContinuation, end, false, flawed, false);
                }
                None => self.word(),
            },
            Class::Lead => {
                let newline = self.newline_len(start);
                match self.char_at(start) {
                    Some(c) if is_space(c) => self.token(Kind::Space, start + c.len_utf8()),
                    _ if newline > 0 => self.token(Kind::Newline, start + newline),
                    _ => self.word(),
                }
            }
        }
    }

    /// Length of the line break at `at`; 0 if there is none. CR LF is one line break.
    pub(super) fn newline_len(&self, at: usize) -> usize {
        match self.byte(at) {
            b'\r' if self.byte(at + 1) == b'\n' => 2,
            b'\n' | b'\r' | 0x0B | 0x0C => 1,
            0xC2 if self.byte(at + 1) == 0x85 => 2,
            0xE2 if self.byte(at + 1) == 0x80 && matches!(self.byte(at + 2), 0xA8 | 0xA9) => 3,
            _ => 0,
        }
    }

    /// Length of the space or line break at `at`; 0 if there is none.
    pub(super) fn blank_len(&self, at: usize) -> usize {
        match self.byte(at) {
            b' ' | b'\t' => 1,
            0xC2 | 0xE1 | 0xE2 | 0xE3 => match self.char_at(at) {
                Some(c) if is_space(c) => c.len_utf8(),
                _ => self.newline_len(at),
            },
            _ => self.newline_len(at),
        }
    }

    /// Where the line that holds `at` ends, before its line break.
    pub(super) fn line_end(&self, mut at: usize) -> usize {
        while at < self.bytes.len() {
            match class(self.bytes[at]) {
                Class::Newline => break,
                Class::Lead if self.newline_len(at) > 0 => break,
                _ => at += 1,
            }
        }
        at
    }

    /// Where the line that holds `at` begins.
    pub(super) fn line_start(&mut self, at: usize) -> usize {
        let (seen, start) = self.known_line;
        let from = if at >= seen { seen } else { 0 };
        let found = self.bytes[from..at].iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
        let start = found.map_or(if from == 0 { 0 } else { start }, |found| from + found + 1);
        self.known_line = (at, start);
        start
    }

    /// How far the line that begins at `at` is indented.
    pub(super) fn indentation(&self, at: usize) -> usize {
        self.bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }

    // ---- words ----

    /// A name, number or keyword, or what was meant as one.
    fn word(&mut self) {
        let start = self.at;
        let keyword = self.bytes[start] == b'#';
        let mut end = start + usize::from(keyword);
        let mut stray = None;
        let mut forbidden = false;
        while end < self.bytes.len() {
            match class(self.bytes[end]) {
                Class::Word => end += 1,
                Class::Lead => match self.char_at(end) {
                    Some(c) if is_space(c) || is_newline(c) => break,
                    Some(c) => {
                        forbidden |= is_disallowed(c);
                        end += c.len_utf8();
                    }
                    None => break,
                },
                Class::Control => {
                    forbidden = true;
                    end += 1;
                }
                Class::Slash => {
                    let begins_something = stray.is_none()
                        && match self.byte(end + 1) {
                            b'/' | b'-' => true,
                            b'*' => self.block_comment_end(end).is_some(),
                            _ => false,
                        };
                    if begins_something {
                        break;
                    }
                    stray.get_or_insert(end);
                    end += 1;
                }
                Class::Backslash => {
                    let continues = match stray {
                        None => self.line_continuation_end(end).is_some(),
                        Some(_) => self.newline_len(end + 1) > 0,
                    };
                    if continues {
                        break;
                    }
                    stray.get_or_insert(end);
                    end += 1;
                }
                Class::Hash => {
                    let hashes = self.bytes[end..].iter().take_while(|byte| **byte == b'#').count();
                    if self.byte(end + hashes) == b'"' {
                        break;
                    }
                    stray.get_or_insert(end);
                    end += hashes;
                }
                Class::Bracket => {
                    stray.get_or_insert(end);
                    end += 1;
                }
                Class::Space | Class::Newline | Class::Punctuation | Class::Quote => break,
            }
        }
        let after_quote = start > 0 && self.bytes[start - 1] == b'"';
        if !after_quote && self.is_lone_closing_quote(end) && &self.text[start..end] != "r" {
            self.report_lone_closing_quote(start, end);
            self.check_forbidden(start, end, true);
            return self.push(Kind::BadWord, end + 1, false, true, false);
        }
        if forbidden {
            self.check_forbidden(start, end, false);
            // Nothing but invisible characters: no more than a space to a reader.
            let kind =
                if self.text[start..end].chars().all(is_disallowed) { Kind::Space } else { Kind::BadWord };
            return self.push(kind, end, false, true, false);
        }
        match stray {
            Some(stray) => {
                // Glued to a string: a quotation mark is wrong rather than the word, and the parser says so.
                if !after_quote {
                    self.report_bad_word(start, end, stray);
                }
                self.push(Kind::BadWord, end, false, true, false);
            }
            None => self.token(if keyword { Kind::Keyword } else { Kind::Word }, end),
        }
    }

    /// True if a quote stands at `at`, behind a word, where no string can begin.
    fn is_lone_closing_quote(&self, at: usize) -> bool {
        let after = at + 1;
        self.byte(at) == b'"'
            && (after >= self.bytes.len()
                || matches!(self.byte(after), b';' | b'{' | b'}')
                || (self.text.is_char_boundary(after) && self.blank_len(after) > 0))
    }

    fn report_lone_closing_quote(&mut self, start: usize, end: usize) {
        let span = self.mistakes.span(start, start);
        let found = self
            .mistakes
            .error(end, end + 1, "this quotation mark closes a string that was never opened")
            .help("write a quotation mark where the text begins, too")
            .fix(
                "open the string before this word",
                Applicability::Unsafe,
                vec![Edit { span, text: "\"".to_owned() }],
            );
        self.mistakes.add_about_quotes(found);
    }

    fn report_bad_word(&mut self, start: usize, end: usize, stray: usize) {
        let word = &self.text[start..end];
        let listed = word.starts_with('[') || (word.ends_with(']') && !word.contains('['));
        if listed {
            let found = self
                .mistakes
                .error(start, end, "KDL has no lists in brackets")
                .help("write the values one after another, with spaces between them: `needs a b`")
                .help("if the bracket is part of the text, put the text in quotes: `\"[a]\"`");
            return self.mistakes.add_about_quotes(found);
        }
        let character = self.char_at(stray).unwrap_or('/');
        let quoted = if word.contains('\\') { format!("#\"{word}\"#") } else { format!("\"{word}\"") };
        let span = self.mistakes.span(start, end);
        let found = self
            .mistakes
            .error(
                start,
                end,
                format!("{} must be in quotes: a bare word cannot contain `{character}`", shown(word)),
            )
            .help(format!("write {}", shown(&quoted)))
            .replace(span, quoted, "put it in quotes", Applicability::Safe);
        self.mistakes.add(found);
    }

    /// Reports the characters of a range that no KDL file may have. True if there are any.
    pub(super) fn check_forbidden(&mut self, start: usize, end: usize, in_text: bool) -> bool {
        let mut at = start;
        let mut any = false;
        while at < end {
            match class(self.bytes[at]) {
                Class::Control => {}
                Class::Lead if self.char_at(at).is_some_and(is_disallowed) => {}
                _ => {
                    at += 1;
                    continue;
                }
            }
            let run: usize =
                self.text[at..end].chars().take_while(|c| is_disallowed(*c)).map(char::len_utf8).sum();
            self.report_forbidden(at, at + run, in_text);
            any = true;
            at += run;
        }
        any
    }

    fn report_forbidden(&mut self, start: usize, end: usize, in_text: bool) {
        self.forbidden += 1;
        if self.forbidden > FORBIDDEN_TOLD {
            return;
        }
        let c = self.char_at(start).unwrap_or('\0');
        let code = c as u32;
        let what = match c {
            '\u{FEFF}' => "the invisible byte order mark",
            '\u{200E}'.. => "the invisible character for the direction of text",
            _ => "the control character",
        };
        let span = self.mistakes.span(start, end);
        let mut found = self
            .mistakes
            .error(start, end, format!("{what} U+{code:04X} may not stand in a KDL file"))
            .help(format!("delete it; in a quoted string it can be written as `\\u{{{code:X}}}`"));
        if !in_text {
            found = found.replace(span, "", "delete it", Applicability::Safe);
        }
        if self.forbidden == FORBIDDEN_TOLD {
            found = found.help("further characters of this kind in this file are not shown");
        }
        self.mistakes.add(found);
    }

    // ---- comments and line continuations ----

    /// Where the comment that begins at `start` ends, inner comments counted.
    fn block_comment_end(&mut self, start: usize) -> Option<usize> {
        let mut at = start + 2;
        if self.failed_searches >= FAILED_SEARCHES {
            return self.comment_close_after(at);
        }
        let mut depth = 1_usize;
        while at + 1 < self.bytes.len() {
            match (self.bytes[at], self.bytes[at + 1]) {
                (b'*', b'/') => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                (b'/', b'*') => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.failed_searches += 1;
        None
    }

    /// The end of the first `*/` from `at` on.
    fn comment_close_after(&mut self, at: usize) -> Option<usize> {
        let text = self.text;
        let last = *self.last_comment_close.get_or_insert_with(|| text.rfind("*/").unwrap_or(text.len()));
        if last == text.len() || at > last {
            return None;
        }
        text[at..].find("*/").map(|found| at + found + 2)
    }

    fn block_comment(&mut self) {
        let start = self.at;
        if let Some(end) = self.block_comment_end(start) {
            let flawed = self.check_forbidden(start, end, true);
            return self.push(Kind::BlockComment, end, false, flawed, false);
        }
        let first_close = self.comment_close_after(start + 2);
        let mut found = self
            .mistakes
            .error(start, start + 2, "this comment is never closed")
            .at("the comment begins here");
        match first_close.and_then(|end| self.text[start + 2..end].find("/*").map(|at| start + 2 + at)) {
            Some(inner) => {
                let span = self.mistakes.span(inner, inner + 2);
                found = found
                    .label(span, "this `/*` opens another comment inside it, which needs a `*/` of its own")
                    .help("comments nest: close each `/*`, or comment the lines out with `//`");
            }
            None => found = found.help("add `*/` where the comment ends"),
        }
        self.mistakes.add(found);
        // What a person sees as the comment: up to the first `*/`, or the line.
        let end = first_close.unwrap_or_else(|| self.line_end(start));
        self.push(Kind::BlockComment, end, false, true, false);
    }

    /// Where the line continuation ends that the backslash at `start` begins, if it is one.
    fn line_continuation_end(&mut self, start: usize) -> Option<usize> {
        let mut at = start + 1;
        loop {
            let newline = self.newline_len(at);
            if newline > 0 {
                return Some(at + newline);
            }
            let blank = self.blank_len(at);
            if blank > 0 {
                at += blank;
            } else if at >= self.bytes.len() {
                return Some(at);
            } else if self.bytes[at..].starts_with(b"//") {
                let end = self.line_end(at);
                return Some(end + self.newline_len(end));
            } else if self.bytes[at..].starts_with(b"/*") {
                at = self.block_comment_end(at)?;
            } else {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`past_plain_text`] must find, looked for byte by byte.
    fn special(byte: u8) -> bool {
        !(0x20..0x7F).contains(&byte) || matches!(byte, b'"' | b'\\')
    }

    #[test]
    fn eight_bytes_at_a_time_see_what_single_bytes_say() {
        for byte in 0..=255_u8 {
            for place in 0..24 {
                // Neighbours of special bytes, from which a borrow could make a false finding.
                for around in [b' ', b'!', b'#', b'[', b']', b'~', b'a'] {
                    let mut bytes = [around; 32];
                    bytes[place] = byte;
                    let found = past_plain_text(&bytes, 0);
                    assert_eq!(found, if special(byte) { place } else { 32 }, "{byte} at {place}");
                    bytes[place + 1] = b'"';
                    let first = if special(byte) { place } else { place + 1 };
                    assert_eq!(past_plain_text(&bytes, 0), first, "{byte} before a quotation mark");
                }
            }
        }
        assert_eq!(past_plain_text(b"short\"", 0), 0, "less than eight bytes are left to the caller");
    }
}
