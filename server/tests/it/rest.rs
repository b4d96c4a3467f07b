//! REST as a seller's program uses it: products, shows, listings, pictures, repetition by key,
//! pages.

use reqwest::Method;
use serde_json::{Value, json};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::rest::{Page, Picture, Product, Sku};
use vetrina_protocol::view::{Listing, Show, ShowState};

use crate::harness::Server;

#[tokio::test]
async fn a_seller_sets_up_a_show_and_runs_it() {
    let server = Server::start().await;
    let host = server.host();
    let show = server.new_show().await;
    assert_eq!(show.state, ShowState::Scheduled);
    assert_eq!(show.seller_name, "Bottega Uno");
    assert_eq!(show.whep_url, format!("/v1/shows/{}/whep", show.id));
    let product = server.new_product("VASO-1", 10).await;
    let listing = server.new_listing(show.id, &product, 2).await;
    assert_eq!((listing.stock.total, listing.stock.available), (10, 10));

    let path = format!("/v1/shows/{}/listings/{}", show.id, listing.id);
    let patch = json!({"price": {"amount_minor": 1990, "currency": "EUR"}, "total": 8});
    let changed: Listing = server
        .patch(&path)
        .bearer(&host)
        .json(&patch)
        .send()
        .await
        .ok();
    assert_eq!((changed.price.amount_minor, changed.stock.total), (1990, 8));
    let path = format!("/v1/shows/{}/listings", show.id);
    let page: Page<Listing> = server.get(&path).send().await.ok();
    assert_eq!(page.items, vec![changed]);

    let path = format!("/v1/shows/{}", show.id);
    for (state, expected) in [("live", ShowState::Live), ("ended", ShowState::Ended)] {
        let body = json!({"state": state, "title": format!("Serata {state}")});
        let show: Show = server
            .patch(&path)
            .bearer(&host)
            .json(&body)
            .send()
            .await
            .ok();
        assert_eq!(show.state, expected);
        assert_eq!(show.title, format!("Serata {state}"));
    }
    let again = server
        .patch(&path)
        .bearer(&host)
        .json(&json!({"state": "live"}))
        .send()
        .await;
    assert_eq!(again.problem(409).code, RefusalCode::ShowState);
    let read: Show = server.get(&path).send().await.ok();
    assert!(read.live_at_ms.is_some() && read.ended_at_ms >= read.live_at_ms);
    server.stop().await;
}

#[tokio::test]
async fn what_was_made_is_there_after_a_restart() {
    let server = Server::start().await;
    let (show, listing) = server.live_show(5, 1).await;
    let server = server.restart().await;
    let path = format!("/v1/shows/{}/listings", show.id);
    let page: Page<Listing> = server.get(&path).send().await.ok();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].id, listing.id);
    server.stop().await;
}

#[tokio::test]
async fn a_key_makes_a_post_repeatable() {
    let server = Server::start().await;
    let host = server.host();
    let body = json!({"title": "Sera", "currency": "EUR"});
    let post = |body: &Value, key: &str| {
        server
            .post("/v1/shows")
            .bearer(&host)
            .key(key)
            .json(body)
            .send()
    };
    let first: Show = post(&body, "k1").await.made();
    let second: Show = post(&body, "k1").await.made();
    assert_eq!(first, second);
    let other: Show = post(&body, "k2").await.made();
    assert_ne!(first.id, other.id);
    let reused = post(&json!({"title": "Altra", "currency": "EUR"}), "k1").await;
    assert_eq!(reused.problem(409).code, RefusalCode::KeyReused);
    let bad = post(&body, &"k".repeat(65)).await.problem(400);
    assert!(
        bad.detail.starts_with("Idempotency-Key: "),
        "{}",
        bad.detail
    );

    let product = json!({"title": "Tazza", "skus": [{"code": "T-1", "inventory": 3,
        "price": {"amount_minor": 900, "currency": "EUR"}}]});
    let made = async |key: &str| {
        server
            .post("/v1/products")
            .bearer(&host)
            .key(key)
            .json(&product)
            .send()
            .await
    };
    let first: Product = made("p1").await.made();
    let second: Product = made("p1").await.made();
    assert_eq!(first, second);
    let taken = made("p2").await.problem(400);
    assert!(taken.detail.contains("code"), "{}", taken.detail);
    server.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = Server::start().await;
    let host = server.host();
    for number in 0..5 {
        server.new_product(&format!("P-{number}"), 1).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/products?limit=2{cursor}");
        let page: Page<Product> = server.get(&path).bearer(&host).send().await.ok();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|product| product.title));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(
        seen,
        ["Vaso P-4", "Vaso P-3", "Vaso P-2", "Vaso P-1", "Vaso P-0"]
    );
    for query in ["limit=0", "limit=201", "limit=x", "cursor=nonsense"] {
        let path = format!("/v1/products?{query}");
        let problem = server.get(&path).bearer(&host).send().await.problem(400);
        assert_eq!(problem.code, RefusalCode::Invalid, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_product_grows_and_its_listings_follow() {
    let server = Server::start().await;
    let host = server.host();
    let (show, _) = server.live_show(3, 1).await;
    let page: Page<Product> = server.get("/v1/products").bearer(&host).send().await.ok();
    let path = format!("/v1/products/{}", page.items[0].id);
    let sku = json!({"code": "ALTRO", "variant": "rosso", "inventory": 4,
        "price": {"amount_minor": 100, "currency": "EUR"}});
    for _ in 0..2 {
        let made: Sku = server
            .post(&format!("{path}/skus"))
            .bearer(&host)
            .json(&sku)
            .send()
            .await
            .made();
        assert_eq!(made.variant.as_deref(), Some("rosso"));
    }
    let patch = json!({"title": "Vaso nuovo"});
    let product: Product = server
        .patch(&path)
        .bearer(&host)
        .json(&patch)
        .send()
        .await
        .ok();
    assert_eq!(
        (product.title.as_str(), product.skus.len()),
        ("Vaso nuovo", 2)
    );
    let path = format!("/v1/shows/{}/listings", show.id);
    let page: Page<Listing> = server.get(&path).send().await.ok();
    assert_eq!(page.items[0].title, "Vaso nuovo");
    server.stop().await;
}

#[tokio::test]
async fn pictures_are_sniffed_kept_and_served_harmless() {
    let server = Server::start().await;
    let host = server.host();
    let upload = |content_type: &'static str, bytes: &[u8]| {
        server
            .post("/v1/pictures")
            .bearer(&host)
            .body(content_type, bytes)
            .send()
    };
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><rect width=\"9\" height=\"9\"/></svg>";
    // What the client calls it does not matter, what it is does.
    let picture: Picture = upload("image/png", svg).await.made();
    let again: Picture = upload("image/svg+xml", svg).await.made();
    assert_eq!(picture, again);
    let read = server.get(&picture.url).send().await;
    assert_eq!(read.status.as_u16(), 200);
    assert_eq!(read.header("content-type"), "image/svg+xml");
    assert!(read.header("content-security-policy").contains("sandbox"));
    assert!(read.header("cache-control").contains("immutable"));
    assert_eq!(read.header("x-content-type-options"), "nosniff");
    assert_eq!(&read.body[..], svg);
    let tag = read.header("etag").to_owned();
    let cached = server
        .get(&picture.url)
        .header("if-none-match", &tag)
        .send()
        .await;
    assert_eq!((cached.status.as_u16(), cached.body.len()), (304, 0));

    upload("image/gif", b"GIF89a").await.problem(415);
    upload("text/html", b"<html>").await.problem(415);
    let script = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>";
    let refused = upload("image/svg+xml", script).await.problem(400);
    assert!(refused.detail.contains("script"), "{}", refused.detail);
    upload("image/png", &vec![0; 6 << 20]).await.problem(413);
    let unknown = "/v1/pictures/00000000-0000-8000-8000-000000000000";
    server.get(unknown).send().await.problem(404);
    server.stop().await;
}

#[tokio::test]
async fn the_api_describes_itself() {
    let server = Server::start().await;
    let document: Value = server.get("/docs/openapi.json").send().await.ok();
    let paths = document["paths"].as_object().expect("paths");
    for (path, method) in [
        ("/v1/tokens", "post"),
        ("/v1/shows", "get"),
        ("/v1/shows/{show}", "patch"),
        ("/v1/shows/{show}/listings/{listing}", "patch"),
        ("/v1/products/{product}", "get"),
        ("/v1/pictures", "post"),
        ("/v1/orders/{order}/refund", "post"),
        ("/v1/shows/{show}/broadcast", "get"),
    ] {
        assert!(paths[path][method].is_object(), "{method} {path}");
    }
    let page = server.get("/docs/").send().await;
    assert!(page.text().contains("swagger-ui"), "{}", page.text());
    assert!(!page.text().contains("https://"), "nothing from elsewhere");
    let script = server.get("/docs/swagger-initializer.js").send().await;
    assert!(script.text().contains("/docs/openapi.json"));
    let codes = server.get("/docs/problems").send().await;
    assert!(codes.text().contains("id=\"sold_out\""));
    server.stop().await;
}

#[tokio::test]
async fn pages_are_served_with_a_policy() {
    let server = Server::start().await;
    let show = server.new_show().await;
    for path in [
        "/".to_owned(),
        format!("/watch/{}", show.id),
        format!("/studio/{}", show.id),
    ] {
        let page = server.get(&path).send().await;
        assert_eq!(page.status.as_u16(), 200, "{path}");
        assert!(page.header("content-type").starts_with("text/html"));
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let pay = server.sandbox.expect("a sandbox");
        assert!(
            policy.contains(&format!("frame-src http://{pay};")),
            "{policy}"
        );
        assert_eq!(page.header("referrer-policy"), "same-origin");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
    }
    let front = server.get("/").send().await.text();
    assert!(front.contains(&format!("/watch/{}", show.id)), "{front}");
    server
        .request(Method::GET, "/assets/none.js")
        .send()
        .await
        .problem(404);
    server.stop().await;
}
