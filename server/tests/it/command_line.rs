//! The binary as it is typed: manual, refusals, tokens, import.

use std::path::Path;
use std::process::{Command, Output};

use vetrina_protocol::rest::{Page, Product};

use crate::harness::{SECRET, Server};

fn vetrina(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vetrina"))
        .args(arguments)
        .output()
        .expect("runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_wrong_option_is_refused_with_its_source() {
    let output = vetrina(&["serve"]);
    assert!(!output.status.success());
    let text = said(&output);
    assert!(
        text.contains("--token-secret") && text.contains("openssl rand"),
        "{text}"
    );

    let output = Command::new(env!("CARGO_BIN_EXE_vetrina"))
        .args([
            "config",
            "check",
            "--token-secret",
            SECRET,
            "--udp-port",
            "99999",
        ])
        .env("VETRINA_LISTEN", "nowhere")
        .output()
        .expect("runs");
    let text = said(&output);
    assert!(!output.status.success());
    assert!(text.contains("VETRINA_LISTEN in the environment"), "{text}");
    assert!(text.contains("--udp-port: "), "{text}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vetrina.toml");
    std::fs::write(
        &file,
        format!("token-secret = {SECRET:?}\nshutdown-grace = 5\n"),
    )
    .expect("w");
    let file = file.display().to_string();
    let output = vetrina(&["config", "check", "--config", &file]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", said(&output));
    assert!(text.contains("is good") && !text.contains(SECRET), "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("shutdown-grace") && line.contains(&file))
    );
    let output = vetrina(&["serve", "--colour", "red"]);
    assert!(said(&output).contains("--colour"));
}

#[test]
fn help_is_the_manual() {
    let output = vetrina(&["--help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for word in [
        "serve",
        "demo",
        "token",
        "import",
        "config",
        "--public-ip",
        "VETRINA_UDP_PORT",
    ] {
        assert!(text.contains(word), "{word} is missing");
    }
}

fn import(folder: &Path, csv: &str) -> Output {
    let file = folder.join("products.csv");
    std::fs::write(&file, csv).expect("writes");
    let (file, data) = (
        file.display().to_string(),
        folder.join("data").display().to_string(),
    );
    vetrina(&[
        "import",
        &file,
        "--token-secret",
        SECRET,
        "--data-dir",
        &data,
    ])
}

#[tokio::test]
async fn a_products_file_is_imported_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let head = "title,description,code,variant,price,currency,inventory,picture\n";
    let bad = format!(
        "{head}Vaso,,V-1,blu,24.00,EUR,3,\n,,V-2,,24,EUR,1,\nTazza,,V-1,,1.005,EUR,1,\n\
         Tazza,,T-1,,9,EUR,x,\nTazza,,V-1,,9,EUR,1,none.png\nTazza,,V-1,,9,EUR,1,\n"
    );
    let output = import(folder.path(), &bad);
    let text = said(&output);
    assert!(!output.status.success());
    for complaint in [
        "row 3: title",
        "row 4: price",
        "row 5:",
        "row 6: picture none.png",
        "row 7: code: the same as in row 2",
        "nothing was imported",
    ] {
        assert!(text.contains(complaint), "{complaint} is missing in {text}");
    }
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    std::fs::write(folder.path().join("vaso.svg"), svg).expect("writes");
    let good = format!(
        "{head}Vaso,\"Alto, blu\",V-1,blu,24.00,EUR,3,vaso.svg\nVaso,,V-2,verde,\"26,5\",EUR,2,\n\
         Tazza,,T-1,,9,EUR,10,\n"
    );
    let output = import(folder.path(), &good);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        text.trim(),
        "2 products made, 3 articles added, 0 articles updated"
    );
    let again = import(folder.path(), &good.replace("9,EUR,10", "8,EUR,10"));
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert_eq!(
        text.trim(),
        "0 products made, 0 articles added, 1 articles updated"
    );

    let data = folder.path().join("data").display().to_string();
    let server = Server::start_with(&[("data-dir", &data)]).await;
    let page: Page<Product> = server
        .get("/v1/products")
        .bearer(&server.host())
        .send()
        .await
        .ok();
    let vase = page
        .items
        .iter()
        .find(|product| product.title == "Vaso")
        .expect("the vase");
    let prices: Vec<_> = vase.skus.iter().map(|sku| sku.price.amount_minor).collect();
    assert_eq!(prices, [2_400, 2_650]);
    let picture = server
        .get(vase.picture_url.as_ref().expect("a picture"))
        .send()
        .await;
    assert_eq!(picture.text(), svg);
    server.stop().await;
}
