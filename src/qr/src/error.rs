//! What can be wrong with a wish for a symbol, with what is allowed instead.

use crate::png_image::MAX_PNG_SIDE;
use crate::style::{MIN_CONTRAST, MODULE_SIZES, QUIET_ZONES, Rgb};
use crate::symbol::ErrorCorrection;

/// Why a symbol or a rendering of it was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QrError {
    /// There is nothing to encode.
    #[error("encoding a QR symbol: the text is empty")]
    EmptyText,

    /// Scanners disagree on the character set of anything but ASCII.
    #[error(
        "encoding a QR symbol: the character at byte {position} is not printable ASCII; \
         use the URL's percent-encoded and Punycode form"
    )]
    NotPrintableAscii {
        /// Offset in bytes of the first such character.
        position: usize,
    },

    /// The text exceeds the largest symbol, version 40.
    #[error(
        "encoding a QR symbol: {length} characters do not fit at error correction level {level}, \
         where {} always do; shorten the text or take a lower level",
        level.byte_capacity()
    )]
    TooLong {
        /// Length of the text in characters.
        length: usize,
        /// The level asked for.
        level: ErrorCorrection,
    },

    /// Not one of the four levels of ISO/IEC 18004.
    #[error("error correction level {given:?}: allowed are L, M, Q and H")]
    Level {
        /// What was given.
        given: String,
    },

    /// The module size is outside [`MODULE_SIZES`].
    #[error("module size {given}: allowed are {} to {} pixels", MODULE_SIZES.start(), MODULE_SIZES.end())]
    ModuleSize {
        /// What was given.
        given: u32,
    },

    /// The quiet zone is outside [`QUIET_ZONES`].
    #[error(
        "quiet zone {given}: allowed are {} to {} modules (ISO/IEC 18004 asks for {})",
        QUIET_ZONES.start(),
        QUIET_ZONES.end(),
        QUIET_ZONES.start()
    )]
    QuietZone {
        /// What was given.
        given: u32,
    },

    /// Not a colour in hexadecimal.
    #[error("colour {given:?}: allowed are six hexadecimal digits, as 1a2b3c or #1a2b3c")]
    Rgb {
        /// What was given.
        given: String,
    },

    /// The dark colour is not darker than the light one.
    #[error(
        "dark {dark} is not darker than light {light}: many scanners cannot read inverted symbols; swap the two"
    )]
    Inverted {
        /// Colour asked for the dark modules.
        dark: Rgb,
        /// Colour asked for the light modules and the quiet zone.
        light: Rgb,
    },

    /// The colours are too close for a camera.
    #[error(
        "dark {dark} on light {light} has a contrast of {ratio:.1}:1: at least {MIN_CONTRAST}:1 is needed"
    )]
    Contrast {
        /// Colour asked for the dark modules.
        dark: Rgb,
        /// Colour asked for the light modules and the quiet zone.
        light: Rgb,
        /// Their contrast ratio, 1 to 21.
        ratio: f64,
    },

    /// The image would be larger than [`MAX_PNG_SIDE`].
    #[error(
        "PNG of {side} x {side} pixels: at most {MAX_PNG_SIDE} a side are made; \
         for this symbol and quiet zone take a module size of at most {largest}, or SVG"
    )]
    PngTooLarge {
        /// Pixels a side of what was asked for.
        side: u32,
        /// The largest module size that fits.
        largest: u32,
    },

    /// The PNG encoder failed.
    #[error("writing the PNG: {reason}")]
    Png {
        /// The encoder's words.
        reason: String,
    },
}
