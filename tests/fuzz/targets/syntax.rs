//! The bytes of a file become text, tokens and a document.
//!
//! Does not know what must hold; `loop_fuzz::syntax` does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loop_fuzz::syntax(data));
