//! Splits a line for `/bin/sh` into the simple commands that it is made of.
//!
//! Does not know what the commands do, and expands nothing. What it cannot follow (substitutions, loops, groups, here
//! documents) makes the line opaque: the commands that were seen are there, but others may run as well.

/// What stands between a command and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// `;`, a line break, `&`, or the end.
    Then,
    And,
    Or,
    Pipe,
}

/// A simple command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Program and arguments, quotes taken off.
    pub words: Vec<String>,
    /// `NAME=value` in front of the program.
    pub env: Vec<(String, String)>,
    pub link: Link,
    /// `!` stands in front.
    pub negated: bool,
}

impl Call {
    pub(super) fn new(words: Vec<String>) -> Call {
        Call { words, env: Vec::new(), link: Link::Then, negated: false }
    }

    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    pub fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// The commands of a line, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub calls: Vec<Call>,
    /// Not all of the line was understood.
    pub opaque: bool,
}

/// Words that begin or end something that is more than a list of commands.
const RESERVED: &[&str] = &[
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "in",
    "function", "{", "}", "trap", "eval", "source", ".", "select", "[[",
];

/// Reads one line of shell, or a script of several.
pub(super) fn split(text: &str) -> Line {
    let mut reader = Reader { line: Line::default(), call: Call::new(Vec::new()), word: None };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = reader.step(c, rest);
    }
    reader.end_call(Link::Then);
    reader.line
}

struct Reader {
    line: Line,
    call: Call,
    /// The word that is being read, and whether any of it was quoted.
    word: Option<(String, bool)>,
}

impl Reader {
    /// Takes what begins with `c`; gives what is left.
    fn step<'t>(&mut self, c: char, rest: &'t str) -> &'t str {
        let after = &rest[c.len_utf8()..];
        match c {
            '\\' if after.starts_with('\n') => return &after[1..],
            '\\' => {
                let taken = after.chars().next();
                self.quoted().extend(taken);
                return &after[taken.map_or(0, char::len_utf8)..];
            }
            '\'' => {
                let end = after.find('\'').unwrap_or_else(|| self.lost(after.len()));
                self.quoted().push_str(&after[..end]);
                return after.get(end + 1..).unwrap_or("");
            }
            '"' => return self.double_quoted(after),
            '#' if self.word.is_none() => return &after[after.find('\n').unwrap_or(after.len())..],
            ' ' | '\t' | '\r' => self.end_word(),
            '\n' => self.end_call(Link::Then),
            ';' => {
                self.end_call(Link::Then);
                return after.strip_prefix(';').unwrap_or(after);
            }
            '&' => match after.strip_prefix('&') {
                Some(after) => {
                    self.end_call(Link::And);
                    return after;
                }
                None if after.starts_with('>') => self.end_word(),
                None => {
                    // In the background: its end decides nothing.
                    self.line.opaque = true;
                    self.end_call(Link::Then);
                }
            },
            '|' => match after.strip_prefix('|') {
                Some(after) => {
                    self.end_call(Link::Or);
                    return after;
                }
                None => {
                    self.end_call(Link::Pipe);
                    return after.strip_prefix('&').unwrap_or(after);
                }
            },
            '>' | '<' => return self.redirection(c, after),
            '(' | ')' | '`' => {
                self.line.opaque = true;
                self.end_call(Link::Then);
            }
            '$' if after.starts_with('(') => {
                self.line.opaque = true;
                self.plain().push_str("$(");
                return &after[1..];
            }
            c => self.plain().push(c),
        }
        after
    }

    fn double_quoted<'t>(&mut self, text: &'t str) -> &'t str {
        let mut rest = text;
        loop {
            let mut chars = rest.chars();
            let Some(c) = chars.next() else {
                self.lost(0);
                return "";
            };
            rest = chars.as_str();
            match c {
                '"' => {
                    self.quoted();
                    return rest;
                }
                '\\' => match chars.next() {
                    Some('\n') => rest = chars.as_str(),
                    Some(next) if "$`\"\\".contains(next) => {
                        self.quoted().push(next);
                        rest = chars.as_str();
                    }
                    _ => self.quoted().push('\\'),
                },
                '`' => {
                    self.line.opaque = true;
                    self.quoted().push(c);
                }
                '$' if rest.starts_with('(') => {
                    self.line.opaque = true;
                    self.quoted().push(c);
                }
                c => self.quoted().push(c),
            }
        }
    }

    /// Takes the operator and the file name behind it out of the command.
    fn redirection<'t>(&mut self, c: char, after: &'t str) -> &'t str {
        // A number right in front belongs to it.
        if self
            .word
            .as_ref()
            .is_some_and(|(word, quoted)| !quoted && word.chars().all(|c| c.is_ascii_digit()))
        {
            self.word = None;
        }
        self.end_word();
        if c == '<' && (after.starts_with('<') || after.starts_with('('))
            || c == '>' && after.starts_with('(')
        {
            self.line.opaque = true;
            return "";
        }
        let after = after.trim_start_matches(['>', '|', '&']).trim_start_matches([' ', '\t']);
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        match quote {
            Some(quote) => match after[1..].find(quote) {
                Some(end) => &after[end + 2..],
                None => &after[self.lost(after.len())..],
            },
            None => {
                let end = after.find(|c: char| c.is_whitespace() || ";&|<>()".contains(c));
                &after[end.unwrap_or(after.len())..]
            }
        }
    }

    /// Something was opened and never closed.
    fn lost(&mut self, at: usize) -> usize {
        self.line.opaque = true;
        at
    }

    fn plain(&mut self) -> &mut String {
        &mut self.word.get_or_insert_default().0
    }

    fn quoted(&mut self) -> &mut String {
        let (word, quoted) = self.word.get_or_insert_default();
        *quoted = true;
        word
    }

    fn end_word(&mut self) {
        let Some((word, quoted)) = self.word.take() else { return };
        if self.call.words.is_empty() && !quoted {
            if word == "!" {
                self.call.negated = true;
                return;
            }
            if RESERVED.contains(&word.as_str()) || word.ends_with("()") {
                self.line.opaque = true;
            }
        }
        if self.call.words.is_empty()
            && let Some((name, value)) = assignment(&word)
        {
            self.call.env.push((name.to_owned(), value.to_owned()));
            return;
        }
        self.call.words.push(word);
    }

    fn end_call(&mut self, link: Link) {
        self.end_word();
        if self.call.words.is_empty() && self.call.env.is_empty() {
            return;
        }
        self.call.link = link;
        self.line.calls.push(std::mem::replace(&mut self.call, Call::new(Vec::new())));
    }
}

/// Name and value of `NAME=value`.
pub(super) fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let sound = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    sound.then_some((name, value))
}
