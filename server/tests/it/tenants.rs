//! Roles and tenants: a matrix of routes and tokens. Nobody touches another seller's things, and
//! nobody does what their role may not.

use reqwest::Method;
use serde_json::{Value, json};
use vetrina::app::FIRST_SELLER;
use vetrina::auth::Shows;
use vetrina_protocol::view::{Role, ShowState};

use crate::harness::{OTHER_SELLER, Server};

struct Route {
    method: Method,
    path: String,
    body: Option<Value>,
    /// Who gets in.
    roles: &'static [Role],
}

const STAFF: &[Role] = &[Role::Host, Role::Moderator, Role::Fulfilment];
const HOST: &[Role] = &[Role::Host];
const ROLES: [Role; 5] = [
    Role::Viewer,
    Role::Host,
    Role::Moderator,
    Role::Fulfilment,
    Role::Ops,
];

/// Every route that names a thing of the first seller, harmless when it is let through.
async fn routes(server: &Server) -> Vec<Route> {
    let (show, listing) = server.live_show(3, 1).await;
    let (show, listing, product) = (show.id, listing.id, listing.product);
    let route = |method: Method, path: String, body: Option<Value>, roles: &'static [Role]| Route {
        method,
        path,
        body,
        roles,
    };
    let sku = json!({"code": "X", "inventory": 1, "price": {"amount_minor": 1, "currency": "EUR"}});
    vec![
        route(
            Method::PATCH,
            format!("/v1/shows/{show}"),
            Some(json!({})),
            HOST,
        ),
        route(
            Method::GET,
            format!("/v1/shows/{show}/broadcast"),
            None,
            STAFF,
        ),
        route(Method::GET, format!("/v1/shows/{show}/orders"), None, STAFF),
        route(
            Method::PATCH,
            format!("/v1/shows/{show}/listings/{listing}"),
            Some(json!({"total": 3})),
            HOST,
        ),
        route(
            Method::POST,
            format!("/v1/shows/{show}/listings"),
            Some(json!({"sku": product, "total": 1})),
            HOST,
        ),
        route(Method::GET, format!("/v1/products/{product}"), None, STAFF),
        route(
            Method::PATCH,
            format!("/v1/products/{product}"),
            Some(json!({})),
            HOST,
        ),
        route(
            Method::POST,
            format!("/v1/products/{product}/skus"),
            Some(sku),
            HOST,
        ),
        route(Method::POST, format!("/v1/shows/{show}/whip"), None, HOST),
    ]
}

async fn status(server: &Server, route: &Route, token: &str) -> u16 {
    let request = server
        .request(route.method.clone(), &route.path)
        .bearer(token);
    let request = match &route.body {
        Some(body) => request.json(body),
        None => request,
    };
    request.send().await.status.as_u16()
}

#[tokio::test]
async fn nobody_touches_another_sellers_things() {
    let server = Server::start().await;
    let routes = routes(&server).await;
    for role in ROLES {
        let token = server.token(role, OTHER_SELLER, Shows::All);
        for route in &routes {
            let status = status(&server, route, &token).await;
            let (method, path) = (&route.method, &route.path);
            assert!(
                matches!(status, 403 | 404),
                "{role:?} {method} {path}: {status}"
            );
        }
    }
    let show = server.new_show().await;
    let other = server.token(Role::Viewer, OTHER_SELLER, Shows::All);
    let whep = server
        .post(&format!("/v1/shows/{}/whep", show.id))
        .bearer(&other);
    whep.body("application/sdp", "v=0")
        .send()
        .await
        .problem(403);
    // The other seller's own lists do not hold what is not theirs.
    let host = server.token(Role::Host, OTHER_SELLER, Shows::All);
    for path in ["/v1/products", "/v1/shows"] {
        let page: Value = server.get(path).bearer(&host).send().await.ok();
        assert_eq!(page["items"], json!([]), "{path}");
    }
    let sku = json!({"title": "Sera", "currency": "EUR"});
    let show = server
        .post("/v1/shows")
        .bearer(&host)
        .json(&sku)
        .send()
        .await;
    let show: vetrina_protocol::view::Show = show.made();
    assert_eq!(
        (show.seller, show.state),
        (OTHER_SELLER, ShowState::Scheduled)
    );
    let product = server.new_product("OURS", 1).await;
    let body = json!({"sku": product.skus[0].id, "total": 1});
    let path = format!("/v1/shows/{}/listings", show.id);
    server
        .post(&path)
        .bearer(&host)
        .json(&body)
        .send()
        .await
        .problem(404);
    server.stop().await;
}

#[tokio::test]
async fn roles_do_what_is_theirs() {
    let server = Server::start().await;
    let routes = routes(&server).await;
    for role in ROLES {
        let token = server.token(role, FIRST_SELLER, Shows::All);
        for route in &routes {
            let status = status(&server, route, &token).await;
            let let_in = route.roles.contains(&role);
            let (method, path) = (&route.method, &route.path);
            assert_eq!(status != 403, let_in, "{role:?} {method} {path}: {status}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_token_for_one_show_is_for_that_show() {
    let server = Server::start().await;
    let routes = routes(&server).await;
    let other = server.new_show().await;
    let token = server.token(Role::Host, FIRST_SELLER, Shows::One(other.id));
    let of_shows = routes.iter().filter(|route| route.path.contains("/shows/"));
    for route in of_shows {
        let status = status(&server, route, &token).await;
        assert_eq!(status, 403, "{} {}", route.method, route.path);
    }
    let body = json!({"title": "Sera", "currency": "EUR"});
    server
        .post("/v1/shows")
        .bearer(&token)
        .json(&body)
        .send()
        .await
        .problem(403);
    server.stop().await;
}
