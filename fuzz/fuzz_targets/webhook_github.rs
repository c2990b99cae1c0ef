//! See `headwater_tests::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headwater_tests::fuzz::run("webhook_github", bytes));
