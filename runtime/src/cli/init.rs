//! `loop init`
//!
//! Does not
use super::output::Failure;
use crate::fault::ExitCode;
use camino::Utf8Path;
pub(super) fn run(_dir: Option<&Utf8Path>) -> Result<ExitCode, Failure> {
    Ok(ExitCode::Complete)
}
