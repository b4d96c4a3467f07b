//! Bytes as the first frame of a session in JSON.

#![no_main]

use vetrina_protocol::encoding::Encoding;
use vetrina_protocol_fuzz::hello;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hello(Encoding::Json, bytes));
