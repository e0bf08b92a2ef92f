//! PNG rendering: one bit a pixel with a palette of two colours.

use crate::error::QrError;
use crate::style::Style;
use crate::symbol::Symbol;

/// Pixels a side of the largest PNG made: at one bit a pixel, 8 MiB while it is encoded.
pub const MAX_PNG_SIDE: u32 = 8192;

impl Symbol {
    /// Draws the symbol with its quiet zone as a PNG file.
    ///
    /// Every module is a square of whole pixels, so that nothing is blurred.
    ///
    /// # Errors
    ///
    /// [`QrError::PngTooLarge`] above [`MAX_PNG_SIDE`].
    pub fn png(&self, style: &Style) -> Result<Vec<u8>, QrError> {
        let modules = self.modules() + 2 * style.quiet_zone();
        let side = modules * style.module_size();
        if side > MAX_PNG_SIDE {
            return Err(QrError::PngTooLarge {
                side,
                largest: MAX_PNG_SIDE / modules,
            });
        }
        let mut file = Vec::new();
        write_png(&mut file, side, style, &self.pixels(style, side)).map_err(|error| {
            QrError::Png {
                reason: error.to_string(),
            }
        })?;
        Ok(file)
    }

    /// Rows of pixels, each padded to whole bytes, the leftmost pixel in the highest bit; set is dark.
    fn pixels(&self, style: &Style, side: u32) -> Vec<u8> {
        let row_length = side.div_ceil(8) as usize;
        let mut pixels = Vec::with_capacity(row_length * side as usize);
        let modules = i64::from(side / style.module_size());
        let quiet_zone = i64::from(style.quiet_zone());
        for row in 0..modules {
            let mut pixel_row = vec![0_u8; row_length];
            for column in 0..modules {
                if self.is_dark(column - quiet_zone, row - quiet_zone) {
                    let first = column as usize * style.module_size() as usize;
                    for pixel in first..first + style.module_size() as usize {
                        pixel_row[pixel / 8] |= 0x80 >> (pixel % 8);
                    }
                }
            }
            for _ in 0..style.module_size() {
                pixels.extend_from_slice(&pixel_row);
            }
        }
        pixels
    }
}

fn write_png(
    file: &mut Vec<u8>,
    side: u32,
    style: &Style,
    pixels: &[u8],
) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(file, side, side);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_palette([style.light().0, style.dark().0].concat());
    encoder.set_compression(png::Compression::Balanced);
    // Filters work on whole bytes, which are eight pixels here: they only add entropy.
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::ErrorCorrection;

    #[test]
    fn an_image_beyond_the_limit_is_refused_with_the_module_size_that_fits() {
        let symbol = Symbol::encode(&"a".repeat(2953), ErrorCorrection::L).unwrap();
        let style = Style::default().with_module_size(64).unwrap();
        let error = symbol.png(&style).unwrap_err();
        assert_eq!(
            error,
            QrError::PngTooLarge {
                side: 185 * 64,
                largest: 44
            }
        );
        let file = symbol.png(&style.with_module_size(44).unwrap()).unwrap();
        let header = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        assert_eq!(header.info().size(), (185 * 44, 185 * 44));
    }

    #[test]
    fn an_image_is_small() {
        let symbol = Symbol::encode("https://qr.example.com/k7Tq2mX", ErrorCorrection::M).unwrap();
        assert!(symbol.png(&Style::default()).unwrap().len() < 1024);
        let large = Style::default().with_module_size(64).unwrap();
        assert!(symbol.png(&large).unwrap().len() < 16 * 1024);
    }
}
