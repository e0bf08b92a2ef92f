//! QR symbols (ISO/IEC 18004) of short URLs: encoding, SVG, PNG and terminal rendering.
//!
//! What a symbol says and who may have it is the caller's. Every rendering made here can be read by a
//! scanner: a [`Style`] that would prevent it (a narrow quiet zone, weak contrast) cannot be made.
//!
//! ```
//! use qr::{ErrorCorrection, Style, Symbol};
//!
//! let symbol = Symbol::encode("https://qr.example.com/spring", ErrorCorrection::M)?;
//! let svg = symbol.svg(&Style::default());
//! assert!(svg.starts_with("<svg "));
//! # Ok::<(), qr::QrError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod outline;
mod png_image;
mod style;
mod svg;
mod symbol;
mod terminal;

pub use error::QrError;
pub use png_image::MAX_PNG_SIDE;
pub use style::{MIN_CONTRAST, MODULE_SIZES, QUIET_ZONES, Rgb, Style};
pub use symbol::{ErrorCorrection, Symbol};
