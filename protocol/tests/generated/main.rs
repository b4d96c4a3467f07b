//! Writes what is generated from the wire types, or checks that it is up to date.
//!
//! `VETRINA_GENERATE=1 cargo test -p vetrina-protocol --test generated` writes the files; without
//! the variable the test fails when a file differs from what the types say.

#![expect(clippy::unwrap_used, reason = "a test")]

mod schema;
mod seeds;
mod vectors;

use std::fs;
use std::path::{Path, PathBuf};

use ts_rs::{Config, TS};
use vetrina_protocol::{client, close, event, ops, refusal, rest, server, view};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Writes or compares one generated file; returns its path when it is out of date.
pub(crate) fn generated(path: &str, content: &[u8]) -> Option<String> {
    let file = root().join(path);
    if fs::read(&file).is_ok_and(|kept| kept == content) {
        // Not written again: another test may be reading it.
        return None;
    }
    if std::env::var_os("VETRINA_GENERATE").is_none() {
        return Some(path.to_owned());
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, content).unwrap();
    None
}

pub(crate) const REGENERATE: &str =
    "run: VETRINA_GENERATE=1 cargo test -p vetrina-protocol --test generated";

#[test]
#[expect(clippy::too_many_lines, reason = "a list")]
fn typescript_is_up_to_date() {
    let config = Config::new().with_large_int("number");
    let mut out =
        String::from("// Generated from the Rust types in protocol/src. Do not edit.\n\n");
    macro_rules! declare {
        ($($name:ty),* $(,)?) => {$(
            out.push_str("export ");
            out.push_str(&<$name as TS>::decl_concrete(&config));
            out.push_str("\n\n");
        )*};
    }
    out.push_str("export type Page<T> = { items: Array<T>, next_cursor?: string, };\n\n");
    declare!(
        vetrina_protocol::time::UnixMs,
        vetrina_protocol::time::Offset,
        vetrina_protocol::time::Epoch,
        vetrina_protocol::time::MediaTime,
        vetrina_protocol::money::Money,
        client::ClientMessage,
        client::Resume,
        client::Reaction,
        client::Delivery,
        server::ServerMessage,
        server::Welcome,
        server::ResetReason,
        server::Snapshot,
        server::Mine,
        server::Desk,
        server::Done,
        server::ReactionCount,
        event::LoggedEvent,
        event::Event,
        event::PrivateEvent,
        event::DeskEvent,
        view::Role,
        view::ShowState,
        view::Show,
        view::Stock,
        view::Listing,
        view::Pin,
        view::Author,
        view::Comment,
        view::ReservationState,
        view::Reservation,
        view::WaitlistPlace,
        view::OrderState,
        view::OrderLine,
        view::PaymentPage,
        view::Order,
        view::DeskReservation,
        view::DeskOrder,
        refusal::RefusalCode,
        refusal::Advice,
        rest::Problem,
        rest::NewShow,
        rest::ShowPatch,
        rest::Product,
        rest::Sku,
        rest::NewProduct,
        rest::NewSku,
        rest::ProductPatch,
        rest::NewListing,
        rest::ListingPatch,
        rest::Picture,
        rest::TokenRequest,
        rest::TokenGrant,
        rest::BroadcastHealth,
        ops::OpsSample,
        ops::OpsAnswer,
        ops::OpsQuestion,
        ops::OpsFigures,
        ops::OpsShow,
    );
    out.push_str(&tables());
    let late = generated(
        "web-demo/packages/client/src/generated/wire.ts",
        out.as_bytes(),
    );
    assert!(late.is_none(), "{late:?} is out of date; {REGENERATE}");
}

/// The tables of codes and limits as TypeScript constants.
fn tables() -> String {
    let mut out = String::from(
        "/** What to do with a refusal. */\nexport const ADVICE: Record<RefusalCode, Advice> = {\n",
    );
    for code in refusal::RefusalCode::ALL {
        let advice = serde_json::to_string(&code.advice()).unwrap();
        out.push_str(&format!("  {}: {advice},\n", code.as_str()));
    }
    out.push_str("};\n\n/** Close codes: why a session ended and what to do next. */\n");
    out.push_str("export type Return = \"resume\" | \"authenticate\" | \"stay\";\n");
    out.push_str(
        "export const CLOSE_CODES: Record<number, { reason: string; next: Return }> = {\n",
    );
    for code in close::CloseCode::ALL {
        let next = format!("{:?}", code.next()).to_lowercase();
        let (number, reason) = (*code as u16, code.reason());
        out.push_str(&format!(
            "  {number}: {{ reason: \"{reason}\", next: \"{next}\" }},\n"
        ));
    }
    out.push_str("};\n\n");
    for (name, value) in [
        (
            "SUBPROTOCOL_MSGPACK",
            format!("{:?}", vetrina_protocol::SUBPROTOCOL_MSGPACK),
        ),
        (
            "SUBPROTOCOL_JSON",
            format!("{:?}", vetrina_protocol::SUBPROTOCOL_JSON),
        ),
        (
            "FRAME_BYTES_MAX",
            vetrina_protocol::FRAME_BYTES_MAX.to_string(),
        ),
        (
            "MESSAGES_PER_FRAME_MAX",
            vetrina_protocol::MESSAGES_PER_FRAME_MAX.to_string(),
        ),
        (
            "COMMENT_CHARS_MAX",
            vetrina_protocol::COMMENT_CHARS_MAX.to_string(),
        ),
        (
            "NAME_CHARS_MAX",
            vetrina_protocol::NAME_CHARS_MAX.to_string(),
        ),
        ("BAG_LINES_MAX", vetrina_protocol::BAG_LINES_MAX.to_string()),
    ] {
        out.push_str(&format!("export const {name} = {value};\n"));
    }
    out
}
