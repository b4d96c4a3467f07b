//! Whatever goes wrong is a problem document (RFC 9457) that says what to do.

use reqwest::Method;
use serde_json::json;
use vetrina_protocol::refusal::RefusalCode;

use crate::harness::{Server, refused_start};

#[tokio::test]
async fn every_error_is_a_problem() {
    let server = Server::start().await;
    let host = server.host();
    let show = server.new_show().await;
    let nowhere = server.get("/v1/nowhere").send().await.problem(404);
    assert_eq!(nowhere.code, RefusalCode::NotFound);
    server.get("/v1/shows/not-an-id").send().await.problem(404);
    let unknown = server
        .get("/v1/shows/0190b3c4-7a2e-7c31-9f00-3d2f6f1c8a55")
        .send()
        .await;
    assert_eq!(unknown.problem(404).code, RefusalCode::ShowUnknown);
    let method = server
        .request(Method::DELETE, &format!("/v1/shows/{}", show.id))
        .send()
        .await;
    assert!(method.header("allow").contains("PATCH"));
    method.problem(405);

    let post = || server.post("/v1/shows").bearer(&host);
    post().body("text/plain", "x").send().await.problem(415);
    let broken = post()
        .body("application/json", "{\"title\":")
        .send()
        .await
        .problem(400);
    assert!(broken.detail.starts_with("body: "), "{}", broken.detail);
    post()
        .body("application/json", vec![b' '; 70_000])
        .send()
        .await
        .problem(413);
    for (body, field) in [
        (json!({"currency": "EUR"}), "title"),
        (json!({"title": 5, "currency": "EUR"}), "title"),
        (json!({"title": "", "currency": "EUR"}), "title"),
        (
            json!({"title": "a".repeat(121), "currency": "EUR"}),
            "title",
        ),
        (
            json!({"title": "\u{202e}\u{200b}", "currency": "EUR"}),
            "title",
        ),
        (json!({"title": "Sera", "currency": "euro"}), "currency"),
        (json!({"title": "Sera", "currency": "XQX"}), "currency"),
        (
            json!({"title": "Sera", "currency": "EUR", "colour": 1}),
            "colour",
        ),
        (
            json!({"title": "Sera", "currency": "EUR", "reservation_ttl_s": 5}),
            "reservation_ttl_s",
        ),
        (
            json!({"title": "Sera", "currency": "EUR", "order_deadline_s": 1e9}),
            "order_deadline_s",
        ),
    ] {
        let problem = post().json(&body).send().await.problem(400);
        assert_eq!(problem.code, RefusalCode::Invalid);
        assert!(
            problem.detail.contains(field),
            "{field} is not named: {}",
            problem.detail
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn amounts_and_quantities_are_checked() {
    let server = Server::start().await;
    let host = server.host();
    for (amount, currency) in [
        (json!(0), "EUR"),
        (json!(-1), "EUR"),
        (json!(1.5), "EUR"),
        (json!(9_223_372_036_854_775_807_i64), "EUR"),
        (json!("100"), "EUR"),
        (json!(100), "EURO"),
    ] {
        let body = json!({"title": "Vaso", "skus": [{"code": "V", "inventory": 1,
            "price": {"amount_minor": amount, "currency": currency}}]});
        let problem = server
            .post("/v1/products")
            .bearer(&host)
            .json(&body)
            .send()
            .await;
        let problem = problem.problem(400);
        assert!(
            problem.detail.contains("skus[0].price"),
            "{}",
            problem.detail
        );
    }
    let show = server.new_show().await;
    let product = server.new_product("V", 3).await;
    let path = format!("/v1/shows/{}/listings", show.id);
    let listing = async |change: serde_json::Value| {
        let mut body = json!({"sku": product.skus[0].id, "total": 1});
        body.as_object_mut()
            .expect("object")
            .extend(change.as_object().expect("object").clone());
        server.post(&path).bearer(&host).json(&body).send().await
    };
    let short = listing(json!({"total": 4})).await.problem(409);
    assert_eq!(short.code, RefusalCode::InventoryShort);
    let dollars = json!({"price": {"amount_minor": 1, "currency": "USD"}});
    assert_eq!(
        listing(dollars).await.problem(409).code,
        RefusalCode::Currency
    );
    listing(json!({"per_buyer": 0})).await.problem(400);
    listing(json!({"per_buyer": 101})).await.problem(400);
    listing(json!({"total": -1})).await.problem(400);
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_is_taken_over_or_made() {
    let server = Server::start().await;
    let named = server
        .get("/v1/nowhere")
        .header("x-request-id", "edge-1")
        .send()
        .await;
    assert_eq!(named.problem(404).request_id.as_deref(), Some("edge-1"));
    let made = server
        .get("/v1/shows")
        .header("x-request-id", "a b")
        .send()
        .await;
    assert_eq!(made.header("x-request-id").len(), 16);
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_names_its_option() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let taken = server.public.to_string();
    let free = [
        ("ops-listen", "127.0.0.1:0"),
        ("udp-port", "0"),
        ("udp-bind", "127.0.0.1"),
    ];
    let said = refused_start(&[free[0], free[1], free[2], ("listen", &taken)]).await;
    assert!(said.contains("--listen") && said.contains(&taken), "{said}");
    let ops = server.ops.to_string();
    let said = refused_start(&[("listen", "127.0.0.1:0"), ("ops-listen", &ops)]).await;
    assert!(said.contains("--ops-listen"), "{said}");
    let same = server.folder().display().to_string();
    let said = refused_start(&[
        free[0],
        free[1],
        free[2],
        ("listen", "127.0.0.1:0"),
        ("data-dir", &same),
    ])
    .await;
    assert!(
        said.contains("--data-dir") && said.contains("another vetrina"),
        "{said}"
    );
    let file = format!("{folder}/file");
    std::fs::write(&file, "").expect("writes");
    let said = refused_start(&[
        free[0],
        free[1],
        free[2],
        ("listen", "127.0.0.1:0"),
        ("data-dir", &file),
    ])
    .await;
    assert!(said.contains("--data-dir"), "{said}");
    server.stop().await;
}
