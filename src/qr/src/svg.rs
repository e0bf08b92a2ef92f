//! SVG rendering: one path over one background, in units of modules. No script, no style sheet, no reference.

use std::fmt::Write;

use crate::outline::{Outline, outlines};
use crate::style::Style;
use crate::symbol::Symbol;

impl Symbol {
    /// Draws the symbol with its quiet zone as an SVG 1.1 document.
    ///
    /// `viewBox` counts modules, `width` and `height` are CSS pixels at the style's module size; both may be
    /// scaled at will. Serve it as `image/svg+xml`; as an element in HTML it needs no namespace handling.
    pub fn svg(&self, style: &Style) -> String {
        let side = self.modules() + 2 * style.quiet_zone();
        let pixels = side * style.module_size();
        let (light, dark) = (style.light(), style.dark());
        let path = path(self, style.quiet_zone());
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{pixels}\" height=\"{pixels}\" \
             viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <rect width=\"{side}\" height=\"{side}\" fill=\"{light}\"/>\
             <path fill=\"{dark}\" d=\"{path}\"/></svg>\n"
        )
    }
}

/// Path data of the dark areas, moved by the quiet zone.
fn path(symbol: &Symbol, quiet_zone: u32) -> String {
    let mut path = String::new();
    for outline in outlines(symbol) {
        write_outline(&mut path, &outline, i64::from(quiet_zone))
            .expect("writing to a String cannot fail");
    }
    path
}

fn write_outline(path: &mut String, outline: &Outline, quiet_zone: i64) -> std::fmt::Result {
    let (column, row) = outline.start;
    write!(path, "M{} {}", column + quiet_zone, row + quiet_zone)?;
    // `z` draws the last step.
    for step in outline.steps.iter().take(outline.steps.len() - 1) {
        match step {
            (columns, 0) => write!(path, "h{columns}")?,
            (_, rows) => write!(path, "v{rows}")?,
        }
    }
    path.push('z');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::ErrorCorrection;

    #[test]
    fn an_svg_states_its_size_in_pixels_and_its_view_in_modules() {
        let symbol = Symbol::encode("HTTPS://A.EXAMPLE/X", ErrorCorrection::L).unwrap();
        let style = Style::default()
            .with_module_size(3)
            .unwrap()
            .with_quiet_zone(6)
            .unwrap();
        let style = style
            .with_colors("123456".parse().unwrap(), "fefefe".parse().unwrap())
            .unwrap();
        let svg = symbol.svg(&style);
        assert_eq!((symbol.modules(), svg.matches('<').count()), (21, 4));
        assert!(
            svg.contains(
                r#" width="99" height="99" viewBox="0 0 33 33" shape-rendering="crispEdges">"#
            ),
            "{svg}"
        );
        assert!(
            svg.contains(r##"<rect width="33" height="33" fill="#fefefe"/>"##),
            "{svg}"
        );
        // The outer edge of the upper left finder pattern.
        assert!(
            svg.contains(r##"<path fill="#123456" d="M6 6h7v7h-7z"##),
            "{svg}"
        );
    }
}
