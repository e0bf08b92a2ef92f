//! Every rendering of a symbol, read by two unrelated decoders, must give exactly the text it was made of.
//!
//! Needs `zbarimg`, `ZXingReader` and `rsvg-convert`; `tests/run` installs them.

#![allow(clippy::unwrap_used)]

mod decoders;
mod images;
mod png;
mod svg;
mod terminal;
mod texts;
