#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oncilla_fuzz_targets::run("wrapped_key", data));
