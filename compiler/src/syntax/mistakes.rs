//! Collects the syntax errors of one file and keeps one mistake from becoming many messages.
//!
//! Does not know KDL's grammar.

use crate::diagnostic::{Applicability, Diagnostic};
use crate::source::{FileId, Span};

/// Past this many findings a file is not KDL at all, and more of them help nobody.
const MOST: usize = 500;

/// The findings of one file, in any order until [`Mistakes::finish`].
pub(super) struct Mistakes<'t> {
    pub(super) file: FileId,
    pub(super) text: &'t str,
    found: Vec<Mistake>,
    dropped: usize,
}

struct Mistake {
    diagnostic: Diagnostic,
    /// One quotation mark too few or too many turns the rest of its line inside out: of such mistakes only the first of
    /// a line is told.
    about_quotes: bool,
}

impl<'t> Mistakes<'t> {
    pub(super) fn new(file: FileId, text: &'t str) -> Mistakes<'t> {
        Mistakes { file, text, found: Vec::new(), dropped: 0 }
    }

    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    pub(super) fn error(&self, start: usize, end: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new("syntax-error", self.span(start, end), message)
    }

    pub(super) fn add(&mut self, diagnostic: Diagnostic) {
        self.push(diagnostic, false);
    }

    pub(super) fn add_about_quotes(&mut self, diagnostic: Diagnostic) {
        self.push(diagnostic, true);
    }

    fn push(&mut self, diagnostic: Diagnostic, about_quotes: bool) {
        if self.found.len() < MOST {
            self.found.push(Mistake { diagnostic, about_quotes });
        } else {
            self.dropped += 1;
        }
    }

    /// Everything found, in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|mistake| mistake.diagnostic.primary.span.start);
        let mut told = Vec::with_capacity(self.found.len());
        // Where the line of the last told mistake about quotes ends.
        let mut quiet_until = 0_usize;
        for mut mistake in self.found {
            let start = mistake.diagnostic.primary.span.start as usize;
            let doubtful = start < quiet_until;
            if mistake.about_quotes {
                if doubtful {
                    continue;
                }
                quiet_until =
                    self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |at| start + at + 1);
            } else if doubtful {
                // Where strings begin and end on this line is a guess, and so is everything else.
                for fix in &mut mistake.diagnostic.fixes {
                    fix.applicability = Applicability::Unsafe;
                }
            }
            told.push(mistake.diagnostic);
        }
        if let (Some(last), 1..) = (told.last_mut(), self.dropped) {
            last.help.push(format!("{} more syntax errors of this file are not shown", self.dropped));
        }
        told
    }
}

/// `text` for a message: quoted with backticks, and cut short if it is long.
pub(super) fn shown(text: &str) -> String {
    const MOST_CHARS: usize = 40;
    let line = text.lines().next().unwrap_or("");
    if line.chars().count() <= MOST_CHARS && line.len() == text.len() {
        format!("`{line}`")
    } else {
        let head: String = line.chars().take(MOST_CHARS).collect();
        format!("`{head}…`")
    }
}
