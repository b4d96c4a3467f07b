//! WHIP (RFC 9725) and WHEP from outside, as far as no real media is needed. Numbers are those of
//! our checklist: what every answer must say and refuse.

use reqwest::Method;
use vetrina::app::FIRST_SELLER;
use vetrina::auth::Shows;
use vetrina_protocol::id::UserId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::Role;

use crate::harness::{Answer, Request, Server};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// What a browser offers for one VP8 track, boiled down. The fingerprint is of nothing.
fn offer(direction: &str, setup: &str) -> String {
    let fingerprint = ["AB"; 32].join(":");
    let lines = [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS s",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789abcdefghijklmn",
        "a=ice-options:trickle",
        &format!("a=fingerprint:sha-256 {fingerprint}"),
        &format!("a=setup:{setup}"),
        "a=mid:0",
        &format!("a={direction}"),
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=ssrc-group:FID 1111 2222",
        "a=ssrc:1111 cname:x",
        "a=ssrc:1111 msid:s v",
        "a=ssrc:2222 cname:x",
        "a=ssrc:2222 msid:s v",
    ];
    lines.join("\r\n") + "\r\n"
}

struct Stage {
    server: Server,
    whip: String,
    whep: String,
    host: String,
    viewer: String,
}

impl Stage {
    async fn set() -> Self {
        let server = Server::start().await;
        let show = server.new_show().await;
        let host = server.token(Role::Host, FIRST_SELLER, Shows::One(show.id));
        let viewer = server.guest(show.id).await.token;
        Self {
            whip: format!("/v1/shows/{}/whip", show.id),
            whep: format!("/v1/shows/{}/whep", show.id),
            server,
            host,
            viewer,
        }
    }

    async fn publish(&self) -> Answer {
        let request = self.server.post(&self.whip).bearer(&self.host);
        request.body(SDP, offer("sendonly", "actpass")).send().await
    }

    fn at(&self, method: Method, path: &str) -> Request {
        self.server.request(method, path).bearer(&self.host)
    }
}

#[tokio::test]
async fn an_offer_is_answered_with_a_session() {
    let stage = Stage::set().await;
    let made = stage.publish().await;
    // 02, 15, 31
    assert_eq!(made.status.as_u16(), 201, "{}", made.text());
    assert_eq!(made.header("content-type"), SDP);
    let (location, tag) = (
        made.header("location").to_owned(),
        made.header("etag").to_owned(),
    );
    let id = location
        .strip_prefix("/v1/whip/")
        .expect("a session's path");
    assert!(id.len() >= 31, "at least 122 random bits: {id}");
    assert!(
        tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2,
        "strong: {tag}"
    );
    assert_eq!(made.header("access-control-allow-origin"), "*");
    assert_eq!(made.header("accept-patch"), FRAGMENT);
    // 05, 06, 07, 08
    let answer = made.text();
    for line in [
        "a=recvonly",
        "a=mid:0",
        "a=rtcp-mux",
        "a=group:BUNDLE 0",
        "a=candidate:",
        "a=ice-lite",
        "a=setup:passive",
        "a=end-of-candidates",
    ] {
        assert!(answer.contains(line), "{line} is missing in {answer}");
    }
    // 01, 35
    for method in [Method::GET, Method::HEAD] {
        for path in [&location, &stage.whip, &stage.whep] {
            let read = stage.at(method.clone(), path).send().await;
            assert_eq!(
                (read.status.as_u16(), read.body.len()),
                (200, 0),
                "{method} {path}"
            );
            assert_eq!(read.header("content-type"), SDP);
        }
    }
    // Another session, another tag.
    let second = stage.publish().await;
    assert_ne!(second.header("etag"), tag);
    assert_ne!(second.header("location"), location);
    // 10, 09
    let gone = stage
        .at(Method::DELETE, &location)
        .header("if-match", "\"stale\"")
        .send()
        .await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (200, 0));
    stage
        .at(Method::DELETE, &location)
        .send()
        .await
        .problem(404);
    stage.at(Method::GET, &location).send().await.problem(404);
    stage.server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused() {
    let stage = Stage::set().await;
    let post = |content_type: &'static str, body: String| {
        stage
            .server
            .post(&stage.whip)
            .bearer(&stage.host)
            .body(content_type, body)
            .send()
    };
    let good = offer("sendonly", "actpass");
    // 03
    post("text/plain", good.clone()).await.problem(415);
    post("application/json", good.clone()).await.problem(415);
    // 04
    for body in ["", "v=0", "nonsense", "v=0\r\nm=video x\r\n"] {
        let status = post(SDP, body.into()).await.status.as_u16();
        assert!(matches!(status, 400 | 422), "{body:?}: {status}");
    }
    post(SDP, "x".repeat(65 * 1024)).await.problem(413);
    // 25
    assert_eq!(
        post(SDP, offer("sendonly", "active")).await.status.as_u16(),
        201
    );
    // 28
    let bare = stage
        .server
        .post(&stage.whip)
        .body(SDP, good.clone())
        .send()
        .await;
    assert_eq!(
        bare.header("access-control-allow-origin"),
        "*",
        "a page must see the 401"
    );
    assert!(bare.header("www-authenticate").starts_with("Bearer"));
    bare.problem(401);
    let viewer = stage
        .server
        .post(&stage.whip)
        .bearer(&stage.viewer)
        .body(SDP, good)
        .send()
        .await;
    assert_eq!(viewer.problem(403).code, RefusalCode::Forbidden);
    stage.server.stop().await;
}

#[tokio::test]
async fn nobody_watches_what_is_not_on() {
    let stage = Stage::set().await;
    let offer = offer("recvonly", "actpass");
    let early = stage
        .server
        .post(&stage.whep)
        .bearer(&stage.viewer)
        .body(SDP, offer)
        .send()
        .await;
    // 33
    assert!(early.header("retry-after").parse::<u32>().expect("seconds") >= 1);
    assert_eq!(early.problem(409).code, RefusalCode::NotLive);
    stage.server.stop().await;
}

#[tokio::test]
async fn preflights_need_no_token() {
    let stage = Stage::set().await;
    let session = "/v1/whep/0123456789abcdef0123456789abcdef";
    for path in [stage.whip.as_str(), &stage.whep, session] {
        let preflight = stage
            .server
            .request(Method::OPTIONS, path)
            .header("origin", "https://elsewhere.example")
            .header("access-control-request-method", "POST")
            .send()
            .await;
        // 12
        assert!(preflight.status.is_success(), "{path}");
        assert_eq!(preflight.header("access-control-allow-origin"), "*");
        let allowed = preflight
            .header("access-control-allow-headers")
            .to_ascii_lowercase();
        for name in ["authorization", "content-type", "if-match"] {
            assert!(allowed.contains(name), "{allowed}");
        }
        let exposed = preflight.header("access-control-expose-headers");
        for name in ["Location", "ETag", "Link", "Retry-After"] {
            assert!(exposed.contains(name), "{exposed}");
        }
        assert!(
            !preflight.headers.contains_key("link"),
            "27: none on preflights"
        );
    }
    let preflight = stage
        .server
        .request(Method::OPTIONS, &stage.whip)
        .send()
        .await;
    assert_eq!(preflight.header("accept-post"), SDP);
    stage.server.stop().await;
}

#[tokio::test]
async fn a_session_is_patched_by_its_maker_with_its_tag() {
    let stage = Stage::set().await;
    let made = stage.publish().await;
    let (location, tag) = (
        made.header("location").to_owned(),
        made.header("etag").to_owned(),
    );
    let candidates = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.9 50000 typ host\r\na=candidate:nonsense\r\n\
        a=end-of-candidates\r\n";
    let patch = |tag: Option<&str>, content_type: &'static str, body: &str| {
        let request = stage.at(Method::PATCH, &location).body(content_type, body);
        match tag {
            Some(tag) => request.header("if-match", tag),
            None => request,
        }
        .send()
    };
    // 16
    patch(None, FRAGMENT, candidates).await.problem(428);
    patch(Some("\"stale\""), FRAGMENT, candidates)
        .await
        .problem(412);
    // 13
    patch(Some(&tag), "application/json", candidates)
        .await
        .problem(415);
    let status = patch(Some(&tag), FRAGMENT, "nonsense")
        .await
        .status
        .as_u16();
    assert!(matches!(status, 400 | 422), "{status}");
    // 17, 18
    let trickled = patch(Some(&tag), FRAGMENT, candidates).await;
    assert_eq!(
        (trickled.status.as_u16(), trickled.body.len()),
        (204, 0),
        "{}",
        trickled.text()
    );
    assert!(!trickled.headers.contains_key("etag"));
    // 19, 20, 21
    let restart = "a=ice-ufrag:efgh\r\na=ice-pwd:nmlkjihgfedcba9876543210\r\n";
    let restarted = patch(Some("\"*\""), FRAGMENT, restart).await;
    assert_eq!(restarted.status.as_u16(), 200, "{}", restarted.text());
    assert_eq!(restarted.header("content-type"), FRAGMENT);
    let fresh = restarted.header("etag").to_owned();
    assert_ne!(fresh, tag);
    assert!(restarted.text().contains("a=ice-ufrag:"));
    patch(Some(&tag), FRAGMENT, candidates).await.problem(412);
    stage.server.stop().await;
}

#[tokio::test]
async fn a_session_is_touched_by_its_maker_alone() {
    let stage = Stage::set().await;
    let location = stage.publish().await.header("location").to_owned();
    let other = stage
        .server
        .token_of(UserId::now(), Role::Host, FIRST_SELLER, Shows::All);
    for token in [&other, &stage.viewer] {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let answer = stage
                .server
                .request(method.clone(), &location)
                .bearer(token);
            answer.body(FRAGMENT, "x").send().await.problem(403);
        }
    }
    let as_whep = location.replace("whip", "whep");
    stage.at(Method::DELETE, &as_whep).send().await.problem(404);
    stage
        .at(Method::DELETE, "/v1/whip/nonsense")
        .send()
        .await
        .problem(404);
    assert_eq!(
        stage
            .at(Method::DELETE, &location)
            .send()
            .await
            .status
            .as_u16(),
        200
    );
    stage.server.stop().await;
}

#[tokio::test]
async fn an_ended_show_takes_no_publisher() {
    let stage = Stage::set().await;
    let path = stage.whip.trim_end_matches("/whip").to_owned();
    for state in ["live", "ended"] {
        let body = serde_json::json!({"state": state});
        let patched = stage.at(Method::PATCH, &path).json(&body).send().await;
        assert!(patched.status.is_success(), "{}", patched.text());
    }
    assert_eq!(
        stage.publish().await.problem(409).code,
        RefusalCode::ShowState
    );
    stage.server.stop().await;
}
