//! Words for people, and how a command that failed ends.
//!
//! Does not know what a command does.

use std::io::Write as _;

use crate::drive::DriveError;
use crate::fault::ExitCode;

/// Why a command ends early.
pub(crate) enum Failure {
    /// A message, and the exit code that goes with it.
    Said(ExitCode, String),
    /// Everything was said already.
    Told(ExitCode),
    /// Nobody reads on: a pipe was closed.
    ReaderGone,
}

impl Failure {
    pub(crate) fn new(exit: ExitCode, message: impl Into<String>) -> Failure {
        Failure::Said(exit, message.into())
    }

    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(ExitCode::Usage, message)
    }

    pub(super) fn tell(self) -> ExitCode {
        match self {
            Failure::Said(exit, message) => {
                complain(&message);
                exit
            }
            Failure::Told(exit) => exit,
            Failure::ReaderGone => ExitCode::Complete,
        }
    }
}

impl From<DriveError> for Failure {
    fn from(error: DriveError) -> Failure {
        Failure::Said(error.exit(), error.with_advice().to_string())
    }
}

impl From<crate::workspace::WorkspaceError> for Failure {
    fn from(error: crate::workspace::WorkspaceError) -> Failure {
        DriveError::from(error).into()
    }
}

impl From<crate::journal::JournalError> for Failure {
    fn from(error: crate::journal::JournalError) -> Failure {
        DriveError::from(error).into()
    }
}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Failure {
        DriveError::from(error).into()
    }
}

/// Writes to standard output. A reader who went away is no error of the command's.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(error) => {
            Err(Failure::new(ExitCode::Environment, format!("cannot write to standard output: {error}")))
        }
    }
}

/// Writes an error message to standard error.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "loop: {message}");
}

/// A date and time (UTC) for people; RFC 3339 to the second.
pub(crate) fn when(time_ms: u64) -> String {
    let seconds = time_ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days as i64);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Days since 1970-01-01 as a date of the Gregorian calendar, counted in 400-year eras that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_at_the_edges() {
        assert_eq!(when(0), "1970-01-01T00:00:00Z");
        assert_eq!(when(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(when(1_704_067_199_999), "2023-12-31T23:59:59Z");
        assert_eq!(when(4_107_542_400_000), "2100-03-01T00:00:00Z");
    }
}
