//! Check 11 of a security review: what is refused, and that rotation works.

use serde_json::{Value, json};

use super::*;

const NOW: UnixMs = UnixMs(1_800_000_000_000);
const SECRET: &str = "an old secret of at least thirty-two bytes";

fn tokens() -> Tokens {
    Tokens::new("vetrina", &Secret::new(SECRET), None)
}

fn viewer() -> Principal {
    Principal {
        user: UserId(1),
        name: "Anna".into(),
        role: Role::Viewer,
        seller: Some(SellerId(2)),
        shows: Shows::One(ShowId(3)),
        expires_at_ms: NOW.plus_ms(TOKEN_LIFE_MS),
    }
}

fn claims() -> Value {
    let now_s = NOW.0 / 1_000;
    json!({
        "iss": "vetrina", "aud": "vetrina", "sub": UserId(1), "name": "Anna", "role": "host",
        "seller": SellerId(2), "iat": now_s, "nbf": now_s, "exp": now_s + 60,
    })
}

fn sign(header: &Header, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("signs")
}

fn header(tokens: &Tokens) -> Header {
    Header {
        kid: Some(tokens.signing.kid.clone()),
        ..Header::new(Algorithm::HS256)
    }
}

fn refused(token: &str) {
    let refusal = tokens().verify(token, NOW).expect_err("is refused");
    assert_eq!(refusal.code, RefusalCode::Unauthenticated);
    assert!(token.is_empty() || !refusal.message.contains(token));
}

#[test]
fn a_token_survives_the_round_trip() {
    let tokens = tokens();
    let token = tokens.mint(&viewer(), NOW);
    assert_eq!(tokens.verify(&token, NOW), Ok(viewer()));
    tokens
        .verify(&sign(&header(&tokens), &claims(), SECRET), NOW)
        .expect("the hand-made claims of these tests are good as they are");
}

#[test]
fn an_expired_or_too_early_token_is_refused() {
    let tokens = tokens();
    let token = tokens.mint(&viewer(), NOW);
    assert!(tokens.verify(&token, NOW.plus_ms(TOKEN_LIFE_MS)).is_err());
    assert!(tokens.verify(&token, NOW.plus_ms(-60_000)).is_err());
}

#[test]
fn claims_that_are_missing_or_wrong_are_refused() {
    let tokens = tokens();
    for field in ["exp", "iss", "aud", "sub", "nbf", "role", "seller"] {
        let mut claims = claims();
        claims.as_object_mut().expect("is an object").remove(field);
        refused(&sign(&header(&tokens), &claims, SECRET));
    }
    for (field, value) in [
        ("iss", json!("elsewhere")),
        ("aud", json!("elsewhere")),
        ("exp", json!("tomorrow")),
        ("nbf", json!(NOW.0 / 1_000 + 60)),
        ("role", json!("owner")),
        ("show", json!("not an id")),
    ] {
        let mut claims = claims();
        claims[field] = value;
        refused(&sign(&header(&tokens), &claims, SECRET));
    }
}

#[test]
fn other_algorithms_keys_and_alterations_are_refused() {
    let tokens = tokens();
    let good = sign(&header(&tokens), &claims(), SECRET);
    let parts: Vec<_> = good.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(format!(
        "{{\"alg\":\"none\",\"typ\":\"JWT\",\"kid\":\"{}\"}}",
        tokens.signing.kid
    ));
    refused(&format!("{none}.{}.", parts[1]));
    refused(&format!("{none}.{}.{}", parts[1], parts[2]));
    let longer = Header {
        alg: Algorithm::HS384,
        ..header(&tokens)
    };
    refused(&sign(&longer, &claims(), SECRET));
    refused(&sign(&Header::new(Algorithm::HS256), &claims(), SECRET));
    let unknown = Header {
        kid: Some("unknown".into()),
        ..header(&tokens)
    };
    refused(&sign(&unknown, &claims(), SECRET));
    refused(&sign(
        &header(&tokens),
        &claims(),
        "another secret of at least thirty-two bytes",
    ));
    let mut altered = claims();
    altered["role"] = json!("ops");
    let payload = URL_SAFE_NO_PAD.encode(altered.to_string());
    refused(&format!("{}.{payload}.{}", parts[0], parts[2]));
    refused("");
    refused("a.b.c");
    refused(&"x".repeat(TOKEN_BYTES_MAX + 1));
}

#[test]
fn two_keys_live_while_they_are_rotated() {
    let old = tokens();
    let token = old.mint(&viewer(), NOW);
    let secret = Secret::new("a new secret of at least thirty-two bytes!");
    let rotating = Tokens::new("vetrina", &secret, Some(&Secret::new(SECRET)));
    assert!(rotating.verify(&token, NOW).is_ok());
    assert!(old.verify(&rotating.mint(&viewer(), NOW), NOW).is_err());
    let rotated = Tokens::new("vetrina", &secret, None);
    assert!(rotated.verify(&token, NOW).is_err());
}

#[test]
fn scope_is_one_show_or_all_of_one_seller() {
    let guest = viewer();
    assert!(guest.may_enter(SellerId(2), ShowId(3)));
    assert!(!guest.may_enter(SellerId(2), ShowId(4)));
    assert!(!guest.may_enter(SellerId(9), ShowId(3)));
    let host = Principal {
        shows: Shows::All,
        ..guest
    };
    assert!(host.may_enter(SellerId(2), ShowId(4)));
    assert!(!host.may_enter(SellerId(9), ShowId(4)));
}

#[test]
fn secrets_stay_out_of_debug_output() {
    assert!(!format!("{:?} {:?}", Secret::new(SECRET), tokens()).contains("old secret"));
}
