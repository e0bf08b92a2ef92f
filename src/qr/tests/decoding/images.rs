//! Reading, enlarging and writing gray images.

use std::io::Cursor;

/// Pixels of 8 bits, row by row.
#[derive(PartialEq, Eq)]
pub(crate) struct Gray {
    pub(crate) width: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Gray {
    /// The red channel of a PNG.
    pub(crate) fn read(file: &[u8]) -> Self {
        let mut decoder = png::Decoder::new(Cursor::new(file));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut samples).unwrap();
        let pixels = samples
            .chunks_exact(info.color_type.samples())
            .map(|pixel| pixel[0])
            .collect();
        Self {
            width: info.width as usize,
            pixels,
        }
    }

    /// Every pixel as a square of that many.
    pub(crate) fn enlarged(&self, factor: usize) -> Self {
        let stretch =
            |row: &[u8]| -> Vec<u8> { row.iter().flat_map(|&pixel| vec![pixel; factor]).collect() };
        let rows = self.pixels.chunks_exact(self.width);
        Self {
            width: self.width * factor,
            pixels: rows.flat_map(|row| stretch(row).repeat(factor)).collect(),
        }
    }

    pub(crate) fn png(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let height = self.pixels.len() / self.width;
        let mut encoder = png::Encoder::new(
            &mut file,
            self.width.try_into().unwrap(),
            height.try_into().unwrap(),
        );
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&self.pixels).unwrap();
        writer.finish().unwrap();
        file
    }
}
