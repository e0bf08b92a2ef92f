//! SVG symbols, drawn by a real renderer and read by two unrelated decoders.

use qr::{ErrorCorrection, Style, Symbol};

use crate::decoders::{assert_decodes, rasterise};
use crate::images::Gray;
use crate::texts::{url_of_length, urls};

#[test]
fn every_text_decodes() {
    for (index, text) in urls().into_iter().enumerate() {
        let level = ErrorCorrection::ALL[index % 4];
        let svg = Symbol::encode(&text, level).unwrap().svg(&Style::default());
        assert_decodes(
            &rasterise(&svg, 1.0),
            &text,
            &format!("{text:?} at {level}"),
        );
    }
}

#[test]
fn a_long_url_decodes() {
    let text = url_of_length(2048);
    let style = Style::default().with_module_size(4).unwrap();
    let svg = Symbol::encode(&text, ErrorCorrection::L)
        .unwrap()
        .svg(&style);
    assert_decodes(&rasterise(&svg, 1.0), &text, "a URL of 2,048 characters");
}

#[test]
fn any_scale_decodes_also_between_whole_pixels() {
    let text = "https://qr.example.com/k7Tq2mX";
    let svg = Symbol::encode(text, ErrorCorrection::M)
        .unwrap()
        .svg(&Style::default());
    for zoom in [0.45, 0.7, 1.0, 1.37, 3.3] {
        assert_decodes(&rasterise(&svg, zoom), text, &format!("a zoom of {zoom}"));
    }
}

#[test]
fn colours_and_quiet_zones_decode() {
    let text = "https://qr.example.com/k7Tq2mX";
    for (dark, light, zone, size) in [
        ("7b1113", "f5e6c8", 4, 3),
        ("0000ff", "ffff00", 12, 8),
        ("767676", "ffffff", 40, 5),
    ] {
        let style = Style::default()
            .with_colors(dark.parse().unwrap(), light.parse().unwrap())
            .unwrap();
        let style = style
            .with_quiet_zone(zone)
            .unwrap()
            .with_module_size(size)
            .unwrap();
        let svg = Symbol::encode(text, ErrorCorrection::Q)
            .unwrap()
            .svg(&style);
        assert_decodes(&rasterise(&svg, 1.0), text, &format!("{style:?}"));
    }
}

#[test]
fn an_svg_draws_the_same_pixels_as_the_png() {
    let style = Style::default().with_module_size(2).unwrap();
    let symbol = Symbol::encode("https://qr.example.com/same", ErrorCorrection::H).unwrap();
    let drawn = Gray::read(&rasterise(&symbol.svg(&style), 1.0));
    assert!(drawn == Gray::read(&symbol.png(&style).unwrap()));
}
