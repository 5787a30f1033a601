//! Text is laid out; laid out again it stays as it is.
//!
//! Does not know what must hold; `loop_fuzz::layout` does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loop_fuzz::layout(data));
