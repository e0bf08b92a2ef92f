//! PNG symbols, read by two unrelated decoders.

use qr::{ErrorCorrection, Style, Symbol};

use crate::decoders::assert_decodes;
use crate::images::Gray;
use crate::texts::{url_of_length, urls};

fn assert_png_decodes(text: &str, level: ErrorCorrection, style: &Style) {
    let symbol = Symbol::encode(text, level).unwrap();
    let what = format!(
        "{text:?} at {level}, version {}, {style:?}",
        symbol.version()
    );
    assert_decodes(&symbol.png(style).unwrap(), text, &what);
}

#[test]
fn every_text_decodes_at_every_level() {
    for text in urls() {
        for level in ErrorCorrection::ALL {
            assert_png_decodes(&text, level, &Style::default());
        }
    }
}

#[test]
fn texts_of_all_lengths_decode_across_the_versions() {
    let style = Style::default().with_module_size(4).unwrap();
    // 230/231 and 1370/1371 lie on both sides of where the length field grows (versions 10 and 27).
    for length in [
        25, 60, 110, 180, 230, 231, 400, 700, 1000, 1367, 1368, 1600, 2048,
    ] {
        assert_png_decodes(&url_of_length(length), ErrorCorrection::L, &style);
    }
    for (length, level) in [
        (1200, ErrorCorrection::H),
        (1600, ErrorCorrection::Q),
        (2048, ErrorCorrection::M),
    ] {
        assert_png_decodes(&url_of_length(length), level, &style);
    }
}

#[test]
fn every_module_size_decodes() {
    for size in [2, 3, 5, 7, 8, 13, 16, 31, 64] {
        let style = Style::default().with_module_size(size).unwrap();
        assert_png_decodes("https://qr.example.com/k7Tq2mX", ErrorCorrection::M, &style);
    }
}

#[test]
fn modules_of_one_pixel_decode_when_enlarged() {
    let text = "https://qr.example.com/k7Tq2mX";
    let style = Style::default().with_module_size(1).unwrap();
    let file = Symbol::encode(text, ErrorCorrection::M)
        .unwrap()
        .png(&style)
        .unwrap();
    for factor in [2, 6] {
        assert_decodes(
            &Gray::read(&file).enlarged(factor).png(),
            text,
            &format!("one pixel enlarged {factor} times"),
        );
    }
}

#[test]
fn every_quiet_zone_decodes() {
    for zone in [4, 5, 8, 17, 40] {
        let style = Style::default().with_quiet_zone(zone).unwrap();
        assert_png_decodes("https://qr.example.com/k7Tq2mX", ErrorCorrection::M, &style);
    }
}

#[test]
fn colours_down_to_the_least_contrast_decode() {
    for (dark, light) in [
        ("767676", "ffffff"),
        ("000000", "757575"),
        ("0000ff", "ffff00"),
        ("0000ff", "ffffff"),
        ("c00000", "ffffff"),
        ("7b1113", "f5e6c8"),
        ("003d00", "00c800"),
        ("1b2a49", "a8d8ea"),
    ] {
        let Ok(style) = Style::default().with_colors(dark.parse().unwrap(), light.parse().unwrap())
        else {
            panic!("{dark} on {light} is refused");
        };
        assert_png_decodes("https://qr.example.com/k7Tq2mX", ErrorCorrection::M, &style);
    }
}
