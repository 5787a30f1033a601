//! `loopc reference`: the language on one card.
//!
//! Does not know the language; the card is made from the schema table.

use loop_compiler::plan::schema;

use super::Exit;
use super::output::{Failure, print};

pub(super) fn run() -> Result<Exit, Failure> {
    print(&schema::card())?;
    Ok(Exit::Clean)
}
