//! The few colours that reports use.
//!
//! Does not know whether there is a terminal.

/// What a piece of text is for; the colour follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Error,
    Warning,
    Note,
    /// Line numbers, bars, arrows.
    Gutter,
    /// Marks and words of a further place.
    Secondary,
    Help,
    Removed,
    Added,
    Strong,
}

impl Ink {
    /// Parameters of the "select graphic rendition" sequence (ECMA-48, section 8.3.117).
    fn parameters(self) -> &'static str {
        match self {
            Ink::Error => "1;31",
            Ink::Warning => "1;33",
            Ink::Note => "1;32",
            Ink::Gutter | Ink::Secondary => "1;34",
            Ink::Help => "1;36",
            Ink::Removed => "31",
            Ink::Added => "32",
            Ink::Strong => "1",
        }
    }
}

/// Paints, or does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) color: bool,
}

impl Pen {
    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", ink.parameters())
        } else {
            text.to_owned()
        }
    }
}
