//! Plans with their project file and imports go through every phase.
//!
//! Does not know what must hold; `loop_fuzz::check` does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loop_fuzz::check(data));
