//! A wrong option is refused by name, with its source and the way to mend it.

use super::*;

const GOOD: &str = "wF3kq9ZL0s7Yb1XhV5tR8mN2pC4jD6gAeUiOxQ";

fn serve() -> Gathered {
    Gathered::new(false).with("token-secret", GOOD)
}

fn complaints(gathered: &Gathered) -> String {
    Config::from_gathered(gathered)
        .expect_err("is refused")
        .to_string()
}

#[test]
fn the_defaults_are_good() {
    let config = Config::from_gathered(&serve()).expect("is good");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.payment.provider, Provider::None);
    let demo = Config::from_gathered(&Gathered::new(true)).expect("demo needs no secret");
    assert_eq!(demo.payment.provider, Provider::Sandbox);
    assert_eq!(demo.tokens.signing.expose(), DEMO_SECRET);
}

#[test]
fn secrets_must_be_long_and_ours_alone() {
    assert!(complaints(&Gathered::new(false)).contains("--token-secret"));
    assert!(complaints(&serve().with("token-secret", "short")).contains("at least 32"));
    assert!(complaints(&serve().with("token-secret", DEMO_SECRET)).contains("sample"));
    assert!(complaints(&serve().with("token-secret", "a".repeat(40))).contains("sample"));
    let said = complaints(&serve().with("webhook-secret", "top-secret"));
    assert!(
        said.contains("--webhook-secret") && !said.contains("top-secret"),
        "{said}"
    );
}

#[test]
fn every_wrong_option_is_named_at_once() {
    let said = complaints(
        &serve()
            .with("listen", "8080")
            .with("public-url", "live.example.org/path")
            .with("public-ip", "1.2.3.4,here")
            .with("udp-port", "70000")
            .with("payment", "cash")
            .with("tls-cert", "cert.pem")
            .with("trusted-proxies", "10.0.0.0/33")
            .with("log", "info,vetrina=loud")
            .with("shutdown-grace", "-1"),
    );
    for name in [
        "--listen: ",
        "--public-url: ",
        "--public-ip: ",
        "--udp-port: ",
        "--payment: ",
        "--tls-cert: ",
        "--trusted-proxies: ",
        "--log: ",
        "--shutdown-grace: ",
    ] {
        assert!(said.contains(name), "{name} is missing in: {said}");
    }
}

#[test]
fn the_file_fills_what_flags_leave_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vetrina.toml");
    let text = format!("token-secret = {GOOD:?}\nlisten = \"127.0.0.1:1\"\nudp-port = 9\n");
    std::fs::write(&path, text).expect("writes");
    let mut gathered = Gathered::new(false).with("listen", "127.0.0.1:2");
    gathered.add_file(&path).expect("reads");
    let config = Config::from_gathered(&gathered).expect("is good");
    assert_eq!(config.listen.port(), 2, "the flag wins");
    assert_eq!(config.media.udp.port(), 9);

    std::fs::write(&path, "udp_port = 9").expect("writes");
    let said = Gathered::new(false)
        .add_file(&path)
        .expect_err("is refused")
        .to_string();
    assert!(
        said.contains("udp_port in ") && said.contains("did you mean udp-port"),
        "{said}"
    );

    std::fs::write(&path, "udp-port = \"x\"").expect("writes");
    let mut gathered = serve();
    gathered.add_file(&path).expect("reads");
    let said = complaints(&gathered);
    assert!(
        said.contains("udp-port in ") && said.contains("vetrina.toml"),
        "{said}"
    );
}

#[test]
fn listeners_do_not_share_a_port() {
    let said = complaints(&serve().with("ops-listen", "127.0.0.1:8080"));
    assert!(
        said.contains("--ops-listen") && said.contains("8080"),
        "{said}"
    );
    let zero = serve()
        .with("listen", "127.0.0.1:0")
        .with("ops-listen", "127.0.0.1:0");
    assert!(
        Config::from_gathered(&zero).is_ok(),
        "port 0 is any free port"
    );
}

#[test]
fn origins_and_networks() {
    let origin = |text: &str| text.parse::<Origin>().map(|origin| origin.to_string());
    assert_eq!(
        origin("https://Live.Example.org:443/"),
        Ok("https://live.example.org".into())
    );
    assert_eq!(origin("http://[::1]:8080"), Ok("http://[::1]:8080".into()));
    for wrong in [
        "live.example.org",
        "ftp://a",
        "https://a/b",
        "https://u@a",
        "https://a?b",
        "",
    ] {
        assert!(origin(wrong).is_err(), "{wrong}");
    }
    let network = |text: &str| text.parse::<Network>().expect("reads");
    let ip = |text: &str| text.parse().expect("reads");
    assert!(network("10.0.0.0/8").contains(ip("10.200.0.1")));
    assert!(network("10.0.0.0/8").contains(ip("::ffff:10.0.0.1")));
    assert!(!network("10.0.0.0/8").contains(ip("11.0.0.1")));
    assert!(network("0.0.0.0/0").contains(ip("1.2.3.4")));
    assert!(network("fd00::/8").contains(ip("fd12::1")));
    assert!(!network("192.168.1.1").contains(ip("192.168.1.2")));
}
