//! Tokens: how they are got, what they are good for, when they stop.

use reqwest::Method;
use serde_json::json;
use vetrina::app::FIRST_SELLER;
use vetrina::auth::{Principal, Secret, Shows, Tokens};
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::close::CloseCode;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::{ShowId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::rest::{TokenGrant, TokenRequest};
use vetrina_protocol::view::Role;

use crate::harness::{Client, SECRET, Server};

#[tokio::test]
async fn a_guest_gets_a_token_for_one_show() {
    let server = Server::start().await;
    let show = server.new_show().await;
    let post = |request: &TokenRequest| server.post("/v1/tokens").json(request).send();
    let name = Some("  Anna\u{202e} \u{1b}[31m ".to_owned());
    let grant: TokenGrant = post(&TokenRequest::Guest {
        show: show.id,
        name,
    })
    .await
    .made();
    assert_eq!((grant.role, grant.show), (Role::Viewer, Some(show.id)));
    assert_eq!(grant.name, "Anna [31m", "made inert");
    let nameless = server.guest(show.id).await;
    assert!(!nameless.name.is_empty());
    assert_ne!(nameless.user, grant.user);

    let request = TokenRequest::Refresh {
        token: grant.token.clone(),
    };
    server.clock.advance_ms(1_000);
    let fresh: TokenGrant = post(&request).await.made();
    assert_eq!(
        (fresh.user, fresh.role, fresh.show),
        (grant.user, grant.role, grant.show)
    );
    assert!(fresh.expires_at_ms > grant.expires_at_ms);

    let unknown = TokenRequest::Guest {
        show: ShowId(7),
        name: None,
    };
    assert_eq!(
        post(&unknown).await.problem(404).code,
        RefusalCode::ShowUnknown
    );
    for name in [String::new(), "\u{200b}".into(), "x".repeat(41)] {
        let problem = post(&TokenRequest::Guest {
            show: show.id,
            name: Some(name),
        })
        .await;
        assert!(problem.problem(400).detail.starts_with("name: "));
    }
    server.stop().await;
}

#[tokio::test]
async fn codes_are_good_once_and_for_a_minute() {
    let server = Server::start().await;
    let made = code(&server);
    let redeem = |code: String| {
        server
            .post("/v1/tokens")
            .json(&TokenRequest::Code { code })
            .send()
    };
    let grant: TokenGrant = redeem(made.clone()).await.made();
    assert_eq!(grant.role, Role::Host);
    assert_eq!(
        redeem(made).await.problem(401).code,
        RefusalCode::Unauthenticated
    );
    let late = code(&server);
    server.clock.advance_ms(60_001);
    redeem(late).await.problem(401);
    redeem("made-up".into()).await.problem(401);
    redeem("x".repeat(10_000)).await.problem(401);
    server.stop().await;
}

#[tokio::test]
async fn a_guests_token_opens_the_channel_of_its_show() {
    let server = Server::start().await;
    let (show, listing) = server.live_show(3, 2).await;
    let guest = server.guest(show.id).await;
    let mut channel = Client::connect(server.public, show.id, Encoding::Json).await;
    let welcome = channel.hello(&guest.token, None).await;
    assert_eq!((welcome.user, welcome.role), (guest.user, Role::Viewer));
    let reserve = |quantity| {
        move |id, key| ClientMessage::Reserve {
            id,
            key,
            listing: listing.id,
            quantity,
            media_time: None,
        }
    };
    let done = channel.command(reserve(2)).await.expect("granted");
    assert_eq!(done.reservation.expect("a reservation").quantity, 2);
    // The answer is this buyer's; others see it from the tick that carries it.
    assert_eq!(channel.available_at(2).await, 1);
    let mut other = Client::connect(server.public, show.id, Encoding::MessagePack).await;
    let welcome = other.hello(&server.guest(show.id).await.token, None).await;
    let snapshot = welcome.snapshot.expect("the first hello has a snapshot");
    assert_eq!(snapshot.listings[0].stock.available, 1);
    let refusal = channel.command(reserve(1)).await;
    let refusal = refusal.expect_err("over the limit");
    assert_eq!(refusal.code, RefusalCode::BuyerLimit);
    other.command(reserve(1)).await.expect("granted");
    assert_eq!(channel.available_at(3).await, 0);
    let (_, code) = tokio::join!(server.stop(), channel.closed());
    assert_eq!(code, CloseCode::GoingAway as u16);
}

/// A code from the command line, on the running server's folder.
fn code(server: &Server) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vetrina"))
        .args([
            "token",
            "--role",
            "host",
            "--code",
            "--token-secret",
            SECRET,
            "--data-dir",
        ])
        .arg(server.folder())
        .output()
        .expect("runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

/// With another first letter of its signature, which has no bits to spare.
fn altered(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("dots");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one table of bad tokens, route by route"
)]
async fn who_has_no_good_token_gets_401_everywhere() {
    let server = Server::start().await;
    let show = server.new_show().await;
    let now = server.clock.now();
    let principal = Principal {
        user: UserId::now(),
        name: "Host".into(),
        role: Role::Host,
        seller: Some(FIRST_SELLER),
        shows: Shows::All,
        expires_at_ms: now.plus_ms(60_000),
    };
    let secret = Secret::new(SECRET);
    let expired = Principal {
        expires_at_ms: now.plus_ms(-1_000),
        ..principal.clone()
    };
    let mint = |issuer: &str, secret: &Secret, principal: &Principal, at_ms: i64| {
        Tokens::new(issuer, secret, None).mint(principal, now.plus_ms(at_ms))
    };
    let good = mint("vetrina", &secret, &principal, 0);
    let bad = [
        ("expired", mint("vetrina", &secret, &expired, -60_000)),
        ("not yet", mint("vetrina", &secret, &principal, 30_000)),
        ("foreign issuer", mint("elsewhere", &secret, &principal, 0)),
        (
            "foreign key",
            mint("vetrina", &Secret::new("x".repeat(40)), &principal, 0),
        ),
        ("altered", altered(&good)),
        (
            "no signature",
            format!("{}.", &good[..good.rfind('.').expect("dots")]),
        ),
        ("nonsense", "nonsense".to_owned()),
        ("empty", String::new()),
    ];
    let routes = [
        (Method::GET, "/v1/products".to_owned()),
        (Method::POST, "/v1/shows".to_owned()),
        (Method::PATCH, format!("/v1/shows/{}", show.id)),
        (Method::POST, format!("/v1/shows/{}/whip", show.id)),
        (Method::POST, format!("/v1/shows/{}/whep", show.id)),
        (
            Method::DELETE,
            "/v1/whip/0123456789abcdef0123456789abcdef".to_owned(),
        ),
        (Method::POST, "/v1/pictures".to_owned()),
        (Method::GET, format!("/v1/orders/{}", show.id)),
    ];
    assert!(
        server
            .get("/v1/products")
            .bearer(&good)
            .send()
            .await
            .status
            .is_success()
    );
    for (method, path) in &routes {
        let without = server.request(method.clone(), path).send().await;
        assert!(
            without.header("www-authenticate").starts_with("Bearer"),
            "{path}"
        );
        without.problem(401);
        for (what, token) in &bad {
            let answer = server
                .request(method.clone(), path)
                .bearer(token)
                .send()
                .await;
            assert_eq!(answer.status.as_u16(), 401, "{what} at {method} {path}");
            assert!(token.is_empty() || !answer.text().contains(token.as_str()));
            assert_eq!(answer.problem(401).code, RefusalCode::Unauthenticated);
        }
        let basic = server
            .request(method.clone(), path)
            .header("authorization", "Basic YTpi");
        basic.send().await.problem(401);
    }
    server.stop().await;
}

#[tokio::test]
async fn two_keys_live_while_they_are_rotated() {
    let old = "an old but long secret of thirty-two bytes";
    let server = Server::start_with(&[("token-secret-previous", old)]).await;
    let now = server.clock.now();
    let principal = Principal {
        user: UserId::now(),
        name: "Host".into(),
        role: Role::Host,
        seller: Some(FIRST_SELLER),
        shows: Shows::All,
        expires_at_ms: now.plus_ms(60_000),
    };
    let token = Tokens::new("vetrina", &Secret::new(old), None).mint(&principal, now);
    assert!(
        server
            .get("/v1/products")
            .bearer(&token)
            .send()
            .await
            .status
            .is_success()
    );
    server.stop().await;
}

#[tokio::test]
async fn one_address_gets_so_many_guests_and_no_more() {
    let server = Server::start_with(&[
        ("guests-per-minute", "3"),
        ("trusted-proxies", "127.0.0.0/8"),
    ])
    .await;
    let show = server.new_show().await;
    let ask = |forwarded: &'static str| {
        let request = json!({"grant": "guest", "show": show.id});
        server
            .post("/v1/tokens")
            .header("x-forwarded-for", forwarded)
            .json(&request)
            .send()
    };
    for _ in 0..3 {
        assert_eq!(ask("203.0.113.1").await.status.as_u16(), 201);
    }
    let limited = ask("203.0.113.1").await;
    assert!(
        limited
            .header("retry-after")
            .parse::<u32>()
            .expect("seconds")
            >= 1
    );
    assert_eq!(limited.problem(429).code, RefusalCode::RateLimited);
    assert_eq!(
        ask("9.9.9.9, 203.0.113.1").await.status.as_u16(),
        429,
        "the left is made up"
    );
    assert_eq!(ask("203.0.113.2").await.status.as_u16(), 201);
    server.stop().await;
}
