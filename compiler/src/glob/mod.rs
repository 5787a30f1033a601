//! Path patterns as languages: matching, and whether two patterns can name the same path.
//!
//! Does not know which files exist; overlap is decided on the patterns alone.

/// A parsed path pattern: literal parts, `*`, `?`, `[...]`, `{a,b}`, `**`; `!` in front negates (in `inputs` only).
///
/// A pattern stands for the paths it matches and everything below them: `src` covers `src/a.rs`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    text: String,
    negated: bool,
}

impl Pattern {
    /// The pattern as written, without `!`, in normal form (no `./`, no doubled or trailing `/`).
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn negated(&self) -> bool {
        self.negated
    }
}
