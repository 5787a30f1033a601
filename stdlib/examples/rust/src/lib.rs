//! Greets.
