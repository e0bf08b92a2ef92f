//! Two unrelated decoders, zbar and ZXing-C++, and a real SVG renderer, run as programs on real image files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Fails unless both decoders read exactly `text` from the PNG.
pub(crate) fn assert_decodes(png: &[u8], text: &str, what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("symbol.png");
    fs::write(&file, png).unwrap();
    assert_eq!(zbar(&file), text, "zbar reads {what}");
    assert_eq!(zxing(&file), text, "ZXing-C++ reads {what}");
}

/// Renders an SVG document with librsvg, at `zoom` times its stated size.
pub(crate) fn rasterise(svg: &str, zoom: f64) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("symbol.svg");
    fs::write(&file, svg).unwrap();
    let output = run("rsvg-convert", &["--zoom", &zoom.to_string()], &file);
    assert!(
        output.status.success(),
        "rsvg-convert: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn zbar(file: &Path) -> String {
    let output = run(
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
        file,
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

fn zxing(file: &Path) -> String {
    let output = run("ZXingReader", &["-format", "QRCode", "-bytes"], file);
    String::from_utf8(output.stdout).unwrap()
}

fn run(program: &str, arguments: &[&str], file: &Path) -> Output {
    Command::new(program)
        .args(arguments)
        .arg(file)
        .output()
        .unwrap_or_else(|error| {
            panic!("{program} cannot be started ({error}): run tests/run, which installs it")
        })
}
