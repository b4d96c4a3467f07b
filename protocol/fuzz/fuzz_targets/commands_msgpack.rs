//! Bytes as a later frame of a session in MessagePack.

#![no_main]

use vetrina_protocol::encoding::Encoding;
use vetrina_protocol_fuzz::commands;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| commands(Encoding::MessagePack, bytes));
