//! Two patterns and a path.
//!
//! Does not know what must hold; `loop_fuzz::glob` does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loop_fuzz::glob(data));
