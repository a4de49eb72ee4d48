#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oncilla_fuzz_targets::run("signature_v2", data));
