//! Placeholder for the lexer.
