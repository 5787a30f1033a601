//! Decides how diagnostics are printed: in colour or not, and how wide.
//!
//! Does not know what is printed. The decisions are pure functions of [`Facts`]; one function gathers them.

use std::ffi::OsString;
use std::io::IsTerminal;

use crate::report::Color;

/// Columns when nobody says how wide the output is (a pipe, a file, a log of CI).
pub const DEFAULT_WIDTH: usize = 100;

/// Narrower than this a snippet says nothing; wider than the maximum a line of text is hard to read.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=140;

/// Which of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// What the decisions are made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `NO_COLOR`, see <https://no-color.org>: set and not empty means no colour.
    pub no_color: Option<OsString>,
    /// `CLICOLOR_FORCE`, see <https://bixense.com/clicolors/>: set and not `0` means colour even when piped.
    pub clicolor_force: Option<OsString>,
    /// `TERM`; `dumb` means a terminal without control sequences.
    pub term: Option<OsString>,
    pub is_terminal: bool,
    /// Columns of the terminal, if it tells.
    pub columns: Option<u16>,
    /// What the command line says; it wins over the environment.
    pub color: Color,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    pub color: bool,
    /// In columns.
    pub width: usize,
    /// Somebody may be watching: lines may be rewritten in place. False when piped, and on a dumb terminal.
    pub live: bool,
}

impl Facts {
    /// Reads environment and terminal.
    pub fn gather(stream: Stream) -> Facts {
        let is_terminal = match stream {
            Stream::Out => std::io::stdout().is_terminal(),
            Stream::Err => std::io::stderr().is_terminal(),
        };
        let size = match stream {
            Stream::Out => terminal_size::terminal_size_of(std::io::stdout()),
            Stream::Err => terminal_size::terminal_size_of(std::io::stderr()),
        };
        Facts {
            no_color: std::env::var_os("NO_COLOR"),
            clicolor_force: std::env::var_os("CLICOLOR_FORCE"),
            term: std::env::var_os("TERM"),
            is_terminal,
            columns: size.map(|(width, _)| width.0),
            color: Color::Auto,
        }
    }

    /// `NO_COLOR` wins over `CLICOLOR_FORCE`: a person who wants no colour means it everywhere.
    pub fn decide(&self) -> Terminal {
        let says = |value: &Option<OsString>| value.as_ref().is_some_and(|value| !value.is_empty());
        let dumb = self.term.as_ref().is_some_and(|term| term == "dumb");
        let forced =
            says(&self.clicolor_force) && self.clicolor_force.as_ref().is_some_and(|value| value != "0");
        let color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !says(&self.no_color) && (forced || (self.is_terminal && !dumb)),
        };
        let width = match self.columns {
            Some(columns) if self.is_terminal && columns > 0 => {
                usize::from(columns).clamp(*WIDTHS.start(), *WIDTHS.end())
            }
            _ => DEFAULT_WIDTH,
        };
        Terminal { color, width, live: self.is_terminal && !dumb }
    }
}

/// The decision for one stream of this process.
pub fn terminal(stream: Stream) -> Terminal {
    Facts::gather(stream).decide()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal_80() -> Facts {
        Facts { is_terminal: true, columns: Some(80), term: Some("xterm".into()), ..Facts::default() }
    }

    #[test]
    fn a_terminal_gets_colour_and_its_own_width() {
        assert_eq!(terminal_80().decide(), Terminal { color: true, width: 80, live: true });
    }

    #[test]
    fn a_pipe_gets_plain_text_of_a_fixed_width() {
        assert_eq!(Facts::default().decide(), Terminal { color: false, width: DEFAULT_WIDTH, live: false });
    }

    #[test]
    fn no_color_counts_unless_it_is_empty() {
        assert!(!Facts { no_color: Some("1".into()), ..terminal_80() }.decide().color);
        assert!(Facts { no_color: Some("".into()), ..terminal_80() }.decide().color);
    }

    #[test]
    fn colour_can_be_forced_into_a_pipe_but_not_against_no_color() {
        let forced = Facts { clicolor_force: Some("1".into()), ..Facts::default() };
        assert!(forced.decide().color);
        assert!(!forced.decide().live);
        assert!(!Facts { no_color: Some("1".into()), ..forced }.decide().color);
        assert!(!Facts { clicolor_force: Some("0".into()), ..Facts::default() }.decide().color);
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let always = Facts { no_color: Some("1".into()), color: Color::Always, ..Facts::default() };
        assert!(always.decide().color);
        let never = Facts { clicolor_force: Some("1".into()), color: Color::Never, ..terminal_80() };
        assert!(!never.decide().color);
    }

    #[test]
    fn a_dumb_terminal_is_plain_and_widths_stay_readable() {
        let dumb = Facts { term: Some("dumb".into()), ..terminal_80() }.decide();
        assert_eq!((dumb.color, dumb.live), (false, false));
        assert_eq!(Facts { columns: Some(9), ..terminal_80() }.decide().width, 40);
        assert_eq!(Facts { columns: Some(900), ..terminal_80() }.decide().width, 140);
        assert_eq!(Facts { columns: Some(0), ..terminal_80() }.decide().width, DEFAULT_WIDTH);
    }
}
