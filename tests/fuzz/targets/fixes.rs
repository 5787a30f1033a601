//! What the compiler offers to change is changed.
//!
//! Does not know what must hold; `loop_fuzz::fixes` does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loop_fuzz::fixes(data));
