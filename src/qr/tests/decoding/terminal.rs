//! Terminal symbols: their characters and escape sequences are turned back into pixels and decoded.

use qr::{ErrorCorrection, Symbol};

use crate::decoders::assert_decodes;
use crate::images::Gray;
use crate::texts::urls;

const BLACK: u8 = 0;
const WHITE: u8 = 255;

#[test]
fn a_symbol_decodes_on_dark_and_light_terminals() {
    for text in urls() {
        let lines = Symbol::encode(&text, ErrorCorrection::M)
            .unwrap()
            .terminal();
        for background in [BLACK, WHITE] {
            assert_decodes(
                &screen(&lines, background),
                &text,
                &format!("{text:?} on a background of {background}"),
            );
        }
    }
}

#[test]
fn a_short_url_fits_a_terminal_of_80_columns_and_24_lines() {
    let lines = Symbol::encode("http://192.168.178.123:8080/demo", ErrorCorrection::M)
        .unwrap()
        .terminal();
    let rows: Vec<_> = lines.lines().map(|line| cells(line, BLACK)).collect();
    assert_eq!((rows.len(), rows[0].len()), (19, 37));
}

/// What a terminal of that background shows: cells of 8 by 16 pixels, with a margin of its own.
fn screen(lines: &str, background: u8) -> Vec<u8> {
    let rows: Vec<_> = lines.lines().map(|line| cells(line, background)).collect();
    let margin = vec![background; (rows[0].len() + 4) * 8];
    let mut pixels = margin.repeat(16);
    for row in &rows {
        for half in [0, 1] {
            let shown = row.iter().flat_map(|cell| [cell[half]; 8]);
            let line: Vec<u8> = [background; 16]
                .into_iter()
                .chain(shown)
                .chain([background; 16])
                .collect();
            pixels.extend(line.repeat(8));
        }
    }
    pixels.extend(margin.repeat(16));
    Gray {
        width: margin.len(),
        pixels,
    }
    .png()
}

/// The upper and lower half of each character in a line, as a terminal colours them.
fn cells(line: &str, background: u8) -> Vec<[u8; 2]> {
    let unset = (WHITE - background, background);
    let (mut ink, mut paper) = unset;
    let mut cells = Vec::new();
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\x1b' => {
                let (parameters, after) = rest.strip_prefix('[').unwrap().split_once('m').unwrap();
                (ink, paper) = colors(parameters, unset);
                rest = after;
            }
            ' ' => cells.push([paper, paper]),
            '\u{2580}' => cells.push([ink, paper]),
            '\u{2584}' => cells.push([paper, ink]),
            '\u{2588}' => cells.push([ink, ink]),
            other => panic!("unexpected character {other:?}"),
        }
    }
    assert_eq!(
        (ink, paper),
        unset,
        "a line ends with the terminal's own colours"
    );
    cells
}

/// Select graphic rendition (ECMA-48 8.3.117), with the indexed colours of ISO 8613-6: 16 is black, 231 white.
fn colors(parameters: &str, unset: (u8, u8)) -> (u8, u8) {
    let indexed = |index: &str| match index {
        "16" => BLACK,
        "231" => WHITE,
        other => panic!("colour {other} depends on the terminal's theme"),
    };
    match parameters.split(';').collect::<Vec<_>>()[..] {
        ["0"] => unset,
        ["38", "5", ink, "48", "5", paper] => (indexed(ink), indexed(paper)),
        ref other => panic!("unexpected parameters {other:?}"),
    }
}
