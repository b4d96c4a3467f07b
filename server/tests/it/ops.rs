//! What operators see, and that nobody else does; what logs never hold.

use serde_json::{Value, json};
use vetrina::app::FIRST_SELLER;
use vetrina::auth::Shows;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::ops::OpsSample;
use vetrina_protocol::rest::TokenGrant;
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::Role;

use crate::harness::{Client, DEADLINE, Demo, SECRET, Server, within};

#[tokio::test]
async fn the_ops_listener_serves_what_the_public_one_does_not() {
    let server = Server::start().await;
    for path in [
        "/metrics",
        "/health/live",
        "/health/ready",
        "/ops",
        "/ops/feed",
    ] {
        server.get(path).send().await.problem(404);
    }
    for path in ["/v1/shows", "/v1/products", "/docs/"] {
        server
            .ops_request(reqwest::Method::GET, path)
            .send()
            .await
            .problem(404);
    }
    let get = |path: &'static str| server.ops_request(reqwest::Method::GET, path).send();
    assert_eq!(get("/health/live").await.text(), "ok\n");
    let ready: Value = get("/health/ready").await.ok();
    assert_eq!(ready["parts"][0], json!({"part": "ledger", "good": true}));
    assert_eq!(get("/ops").await.status.as_u16(), 200);
    let metrics = get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let text = metrics.text();
    for name in [
        "vetrina_channel_sessions",
        "vetrina_channel_joins_total",
        "vetrina_channel_deliveries_total",
        "vetrina_reservations_total",
        "vetrina_orders_total",
        "vetrina_media_packets_total",
        "vetrina_session_queue_depth_max",
        "vetrina_errors_total",
        "vetrina_http_request_duration_seconds_bucket",
        "vetrina_process_resident_memory_bytes",
    ] {
        assert!(text.contains(name), "{name} is missing");
    }
    assert!(
        !text.contains("/v1/shows/0"),
        "labels hold templates and no ids"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_feed_is_for_ops_and_comes_every_second() {
    let server = Server::start().await;
    let show = server.new_show().await;
    let feed = || server.ops_request(reqwest::Method::GET, "/ops/feed");
    feed().send().await.problem(401);
    feed().bearer(&server.host()).send().await.problem(403);
    let token = server.token(Role::Ops, FIRST_SELLER, Shows::All);
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let url = format!("http://{}/ops/feed", server.ops);
    let mut response = client
        .get(url)
        .bearer_auth(&token)
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let samples = within(async {
        loop {
            let chunk = response.chunk().await.expect("reads").expect("goes on");
            text.push_str(&String::from_utf8_lossy(&chunk));
            let samples: Vec<OpsSample> = text
                .split("\n\n")
                .filter_map(|event| event.strip_prefix("data: "))
                .filter_map(|data| serde_json::from_str(data).ok())
                .collect();
            if samples.len() >= 2 {
                return samples;
            }
        }
    })
    .await;
    assert_eq!(samples[0].answers.len(), 4);
    assert_eq!(samples[0].shows[0].id, show.id);
    assert!(samples[1].at_ms > samples[0].at_ms);
    assert!(samples[1].figures.memory_bytes > 0);
    drop(response);
    server.stop().await;
}

#[tokio::test]
async fn guests_have_no_business_on_the_ops_listener() {
    let server = Server::start().await;
    let show = server.new_show().await;
    let request = json!({"grant": "guest", "show": show.id});
    let post = server
        .ops_request(reqwest::Method::POST, "/v1/tokens")
        .json(&request);
    post.send().await.problem(403);
    server.stop().await;
}

/// A server of its own process, whose log lines are read: no canary may be in them.
#[test]
fn logs_hold_no_tokens_names_or_addresses() {
    let demo = Demo::start(&["--log", "trace", "--log-format", "json"]);
    let (watch, studio) = (demo.watch.clone(), demo.studio.clone());
    let token = speak(&watch, &studio);
    demo.interrupt();
    let log = demo.ended();
    assert!(log.contains("request_id"), "the log was on");
    let code = studio.rsplit('=').next().expect("a code").to_owned();
    let show = watch.rsplit('/').next().expect("an id");
    for canary in [
        SECRET,
        &token,
        &code,
        "Canarina Gialla",
        "via dei Canarini",
        "203.0.113.77",
    ] {
        assert!(!log.contains(canary), "{canary} is in the log");
    }
    assert!(
        !log.contains(&format!("/v1/shows/{show}/nowhere")),
        "routes, not paths"
    );
}

/// Ctrl-C with a viewer in the room is not worth a warning.
#[test]
fn a_clean_end_warns_of_nothing() {
    let demo = Demo::start(&["--log", "info"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (origin, show) = demo.watch.split_once("/watch/").expect("a link");
        let show: ShowId = show.parse().expect("an id");
        let body = json!({"grant": "guest", "show": show});
        let client = reqwest::Client::builder().no_proxy().build();
        let asked = client
            .expect("a client")
            .post(format!("{origin}/v1/tokens"));
        let grant = within(asked.json(&body).send()).await.expect("an answer");
        let grant: TokenGrant = within(grant.json()).await.expect("a token");
        let address = origin.strip_prefix("http://").expect("an origin");
        let address = address.parse().expect("an address");
        let mut viewer = Client::connect(address, show, Encoding::Json).await;
        let welcome = viewer.hello(&grant.token, None).await;
        // Reported once, so that there is something to take back.
        let counted = welcome.snapshot.expect("a snapshot").viewers == 1;
        viewer
            .until(|viewer| {
                let told = |message: &ServerMessage| {
                    matches!(message, ServerMessage::Audience { viewers: 1, .. })
                };
                (counted || viewer.others.iter().any(told)).then_some(())
            })
            .await;
        demo.interrupt();
        assert_eq!(viewer.closed().await, 4009);
    });
    let log = demo.ended();
    assert!(log.contains("the server has stopped"), "{log}");
    for level in ["WARN", "ERROR"] {
        assert!(!log.contains(level), "{log}");
    }
}

/// Says everything that must not be logged to the server at this link; gives the guest's token.
fn speak(watch: &str, studio: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(DEADLINE)
            .build();
        let client = client.expect("a client");
        let (origin, show) = watch.split_once("/watch/").expect("a link");
        let post = async |body: Value| {
            let request = client.post(format!("{origin}/v1/tokens")).json(&body);
            let request = request.header("x-forwarded-for", "203.0.113.77");
            request
                .send()
                .await
                .expect("an answer")
                .json::<Value>()
                .await
                .expect("JSON")
        };
        let name = "Canarina Gialla";
        let grant = post(json!({"grant": "guest", "show": show, "name": name})).await;
        let token = grant["token"].as_str().expect("a token").to_owned();
        let code = studio.rsplit('=').next().expect("a code");
        let host = post(json!({"grant": "code", "code": code})).await;
        assert_eq!(host["role"], "host");
        let canary = json!({"delivery": "via dei Canarini 3", "name": name});
        for (path, bearer) in [
            ("nowhere", &token),
            ("listings", &token),
            ("orders", &token),
        ] {
            let url = format!("{origin}/v1/shows/{show}/{path}?{name}");
            let request = client.post(url).bearer_auth(bearer).json(&canary);
            assert!(
                request
                    .send()
                    .await
                    .expect("an answer")
                    .status()
                    .is_client_error()
            );
        }
        token
    })
}
