//! How both programs take the options for findings, and print them.
//!
//! Does not know where findings come from.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use loop_compiler::diagnostic::render::{Format, Look, Report, Style, render};

use crate::terminal::{Facts, Stream};

/// Findings that people are shown at most, unless they ask for more.
const FOR_PEOPLE: usize = 100;

/// The options of every command that prints findings as its result.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Output {
    /// How to print what was found
    ///
    /// Paths count from the current directory in `human`, `plain` and `short`, and from the repository's root in
    /// all others. `spec/output.md` describes them.
    #[arg(long, value_enum, default_value_t = Word(Format::Human), value_name = "FORMAT")]
    pub format: Word,
    /// Print at most N findings, errors first; `all` for no limit [default: 100 for `human` and `plain`, else all]
    #[arg(long, value_name = "N")]
    pub max_diagnostics: Option<Limit>,
}

impl Output {
    /// How a report looks on a stream.
    pub fn look(&self, color: Color, stream: Stream) -> Look {
        let limit = match self.max_diagnostics {
            Some(Limit(limit)) => limit,
            None if matches!(self.format.0, Format::Human | Format::Plain) => Some(FOR_PEOPLE),
            None => None,
        };
        Look { format: self.format.0, style: style(color, stream), limit }
    }

    pub fn write(&self, report: &Report<'_>, color: Color) -> String {
        render(report, &self.look(color, Stream::Out))
    }
}

/// How text for people looks on a stream.
pub fn style(color: Color, stream: Stream) -> Style {
    let terminal = Facts { color, ..Facts::gather(stream) }.decide();
    Style { color: terminal.color, width: terminal.width }
}

/// When to print in colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless the environment says otherwise
    #[default]
    Auto,
    Always,
    Never,
}

/// A format by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub Format);

impl ValueEnum for Word {
    fn value_variants<'a>() -> &'a [Word] {
        &[
            Word(Format::Human),
            Word(Format::Plain),
            Word(Format::Short),
            Word(Format::Json),
            Word(Format::Jsonl),
            Word(Format::Sarif),
            Word(Format::Github),
            Word(Format::Gitlab),
            Word(Format::Junit),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (_, word, help) = Format::ALL.iter().find(|(format, ..)| *format == self.0)?;
        Some(PossibleValue::new(word).help(help))
    }
}

/// A number, or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub Option<usize>);

impl std::str::FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Limit, String> {
        match text {
            "all" => Ok(Limit(None)),
            _ => {
                text.parse().map(|limit| Limit(Some(limit))).map_err(|_| "not a number, nor `all`".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_word() {
        assert_eq!(Word::value_variants().len(), Format::ALL.len());
        for (format, word, _) in Format::ALL {
            assert_eq!(Word::from_str(word, false), Ok(Word(*format)));
        }
    }

    #[test]
    fn people_are_shown_a_hundred_unless_they_say_so() {
        let limit = |format, max| {
            Output { format: Word(format), max_diagnostics: max }.look(Color::Never, Stream::Out).limit
        };
        assert_eq!(limit(Format::Human, None), Some(FOR_PEOPLE));
        assert_eq!(limit(Format::Json, None), None);
        assert_eq!(limit(Format::Human, Some(Limit(None))), None);
        assert_eq!(limit(Format::Json, Some(Limit(Some(3)))), Some(3));
        assert_eq!("x".parse::<Limit>().ok(), None);
    }
}
