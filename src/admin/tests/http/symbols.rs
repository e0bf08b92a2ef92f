//! A tag's QR symbols, read by two unrelated decoders.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::{Answer, Server};

fn run(program: &str, arguments: &[&str], file: &Path) -> Vec<u8> {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; tests/run installs it"));
    assert!(output.status.success(), "{program}: {output:?}");
    output.stdout
}

/// What zbar and ZXing-C++ read, which must be the same.
fn decode(png: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("symbol.png");
    std::fs::write(&file, png).unwrap();
    let zbar = run(
        "zbarimg",
        &[
            "--quiet",
            "--raw",
            "--oneshot",
            "--set",
            "*.enable=0",
            "--set",
            "qr.enable=1",
        ],
        &file,
    );
    let zxing = run("ZXingReader", &["-format", "QRCode", "-bytes"], &file);
    let zbar = String::from_utf8(zbar).unwrap();
    assert_eq!(zbar.trim_end_matches('\n').as_bytes(), zxing);
    String::from_utf8(zxing).unwrap()
}

fn rasterise(svg: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("symbol.svg");
    std::fs::write(&file, svg).unwrap();
    run("rsvg-convert", &["--zoom", "2"], &file)
}

fn image<'a>(answer: &'a Answer, kind: &str) -> &'a [u8] {
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, kind),
        "{}",
        answer.text()
    );
    &answer.body
}

#[tokio::test]
async fn both_decoders_read_exactly_the_short_url() {
    let server = Server::start().await;
    let owner = server.owner();
    for code in ["a", "Spring_26-x", &"x".repeat(64)] {
        let short_url = owner.tag(code).await["short_url"]
            .as_str()
            .unwrap()
            .to_owned();
        for query in [
            "",
            "?level=H&size=3&margin=10",
            "?level=L&dark=003366&light=ffffee&size=12",
        ] {
            let png = owner.get(&format!("/tags/{code}/qr.png{query}")).await;
            assert_eq!(decode(image(&png, "image/png")), short_url, "{query}");
            let svg = owner.get(&format!("/tags/{code}/qr.svg{query}")).await;
            assert_eq!(
                decode(&rasterise(image(&svg, "image/svg+xml"))),
                short_url,
                "{query}"
            );
        }
    }
}

#[tokio::test]
async fn the_links_in_a_tag_lead_to_its_own_symbols() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    owner
        .post("/domains", json!({"name": "qr.example.org"}))
        .await
        .created();
    let tag = owner.tag("spring").await;
    let png = tag["qr"]["png"]
        .as_str()
        .unwrap()
        .strip_prefix("/api/v1")
        .unwrap();
    assert_eq!(
        decode(&owner.get(png).await.body),
        "http://qr.example.org/spring"
    );
    let svg = tag["qr"]["svg"]
        .as_str()
        .unwrap()
        .strip_prefix("/api/v1")
        .unwrap();
    assert_eq!(
        decode(&rasterise(&owner.get(svg).await.body)),
        "http://qr.example.org/spring"
    );
}

#[tokio::test]
async fn where_case_does_not_matter_the_symbol_is_in_capitals_and_smaller() {
    let server = Server::start().await;
    let owner = server.owner();
    owner
        .post(
            "/domains",
            json!({"name": "qr.example.org", "case_insensitive": true}),
        )
        .await
        .created();
    let tag = owner
        .post("/tags", json!({"destination": "https://example.com/"}))
        .await
        .created();
    let code = tag["code"].as_str().unwrap();
    let png = owner.get(&format!("/tags/{code}/qr.png")).await;
    assert_eq!(
        decode(image(&png, "image/png")),
        tag["short_url"].as_str().unwrap().to_uppercase()
    );
}

#[tokio::test]
async fn a_wish_that_scanners_could_not_read_is_refused_by_name() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for (query, parameter) in [
        ("size=0", "size"),
        ("size=65", "size"),
        ("size=-1", "size"),
        ("size=big", "size"),
        ("size=", "size"),
        ("margin=3", "margin"),
        ("margin=0", "margin"),
        ("margin=41", "margin"),
        ("margin=4.5", "margin"),
        ("level=X", "level"),
        ("level=", "level"),
        ("dark=red", "dark"),
        ("dark=ffffff", "dark"),
        ("dark=cccccc", "dark"),
        ("light=x", "light"),
        ("light=000000", "dark"),
        ("format=pdf", "format"),
        ("domain=a%20b", "domain"),
    ] {
        for format in ["svg", "png"] {
            assert_eq!(
                owner
                    .get(&format!("/tags/spring/qr.{format}?{query}"))
                    .await
                    .parameter(),
                parameter,
                "{query}"
            );
        }
    }
    owner.get("/tags/none/qr.svg").await.problem(404);
}
