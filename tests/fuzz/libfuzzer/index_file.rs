#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| grad_fuzz::index_file(bytes));
