//! Properties of the encodings: what is not a frame of ours is refused without a panic and without
//! allocating what it claims; what a newer peer adds is ignored.

use proptest::prelude::*;
use serde_json::json;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::close::CloseCode;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::money::{AMOUNT_MINOR_MAX, Currency, Money};
use vetrina_protocol::refusal::RefusalCode;

fn decode(encoding: Encoding, bytes: &[u8]) -> Result<Vec<ClientMessage>, String> {
    encoding.decode(bytes).map_err(|error| error.to_string())
}

#[test]
fn unknown_fields_are_ignored_and_unknown_types_are_not_ours() {
    let newer = json!([{ "type": "Ping", "id": 7, "mood": "good" }]).to_string();
    assert_eq!(
        decode(Encoding::Json, newer.as_bytes()),
        Ok(vec![ClientMessage::Ping { id: 7 }])
    );
    let unknown = json!([{ "type": "Juggle", "id": 7 }]).to_string();
    assert!(
        decode(Encoding::Json, unknown.as_bytes())
            .unwrap_err()
            .contains("Juggle")
    );
}

#[test]
fn missing_and_null_options_are_the_same() {
    let id = "0190b3c4-7a2e-7c31-9f00-000000000004";
    let short = json!([{ "type": "Reserve", "id": 1, "key": "k", "listing": id, "quantity": 1 }]);
    let mut long = short.clone();
    long[0]["media_time"] = serde_json::Value::Null;
    let short = decode(Encoding::Json, short.to_string().as_bytes()).unwrap();
    assert_eq!(
        short,
        decode(Encoding::Json, long.to_string().as_bytes()).unwrap()
    );
}

#[test]
fn bombs_are_refused_at_once() {
    let array_of_four_billion = [0xdd, 0xff, 0xff, 0xff, 0xff];
    assert!(decode(Encoding::MessagePack, &array_of_four_billion).is_err());
    let string_of_four_gigabytes = [0x91, 0xdb, 0xff, 0xff, 0xff, 0xff, b'a'];
    assert!(decode(Encoding::MessagePack, &string_of_four_gigabytes).is_err());
    let deep = [0x91; 10_000];
    assert!(decode(Encoding::MessagePack, &deep).is_err());
    let deep_in_a_field = {
        let mut bytes = vec![0x91, 0x82, 0xa4];
        bytes.extend(b"type");
        bytes.push(0xa4);
        bytes.extend(b"Ping");
        bytes.push(0xa1);
        bytes.push(b'x');
        bytes.extend([0x91; 10_000]);
        bytes
    };
    assert!(decode(Encoding::MessagePack, &deep_in_a_field).is_err());
    let deep_json = "[".repeat(10_000);
    assert!(decode(Encoding::Json, deep_json.as_bytes()).is_err());
}

#[test]
fn bytes_after_the_frame_are_refused() {
    let mut frame = Encoding::MessagePack.encode(&[ClientMessage::Ping { id: 1 }]);
    frame.push(0xc0);
    assert!(
        decode(Encoding::MessagePack, &frame)
            .unwrap_err()
            .contains("after")
    );
}

#[test]
fn ids_have_one_spelling() {
    for bad in [
        "0190B3C47A2E7C319F00000000000004",
        "{0190b3c4-7a2e-7c31-9f00-000000000004}",
        "",
    ] {
        assert!(
            bad.parse::<vetrina_protocol::id::ShowId>().is_err(),
            "{bad}"
        );
    }
}

#[test]
fn money_never_wraps() {
    let most = Money::new(AMOUNT_MINOR_MAX, Currency::EUR);
    assert_eq!(most.times(2), None);
    assert_eq!(most.plus(Money::new(1, Currency::EUR)), None);
    assert_eq!(most.plus(Money::new(1, "USD".parse().unwrap())), None);
    assert_eq!(Money::new(i64::MAX, Currency::EUR).times(100), None);
    assert!("EURO".parse::<Currency>().is_err());
    assert!("eur".parse::<Currency>().is_err());
}

#[test]
fn every_refusal_code_on_the_wire_is_its_name_in_the_table() {
    for code in RefusalCode::ALL {
        let wire = serde_json::to_value(code).unwrap();
        assert_eq!(wire, code.as_str());
        assert!((400..600).contains(&code.http_status()));
    }
}

#[test]
fn the_specification_names_every_code() {
    let text = include_str!("../README.md");
    for code in RefusalCode::ALL {
        assert!(
            text.contains(&format!("`{}`", code.as_str())),
            "{}",
            code.as_str()
        );
    }
    for code in CloseCode::ALL {
        let number = *code as u16;
        assert!(text.contains(&format!("| {number} |")), "{number}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(Encoding::MessagePack, &bytes);
        let _ = decode(Encoding::Json, &bytes);
    }

    #[test]
    fn damaged_frames_never_panic(at in 0usize..60, with in any::<u8>()) {
        let frame = [ClientMessage::Hello { token: "a.b.c".into(), resume: None }];
        for encoding in [Encoding::MessagePack, Encoding::Json] {
            let mut bytes = encoding.encode(&frame);
            let len = bytes.len();
            bytes[at % len] = with;
            let _ = decode(encoding, &bytes);
            let _ = decode(encoding, &bytes[..at % len]);
        }
    }
}
