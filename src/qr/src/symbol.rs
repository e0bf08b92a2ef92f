//! A symbol: text encoded into a square of dark and light modules. Drawing it is left to the renderings.

use std::fmt;
use std::str::FromStr;

use qrcode::types::QrError as EncoderError;
use qrcode::{Color, EcLevel, QrCode, Version};

use crate::error::QrError;

/// A QR symbol, version 1 to 40 (ISO/IEC 18004), without its quiet zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    version: u8,
    width: u32,
    /// Row by row from the top left; true is dark.
    dark: Vec<bool>,
}

impl Symbol {
    /// Encodes printable ASCII into the smallest symbol that holds it at `level`.
    ///
    /// Modes (numeric, alphanumeric, byte) are mixed for the shortest bit stream, so that upper-case text such as
    /// `HTTPS://QR.EXAMPLE.COM/ABC` takes a smaller symbol than the same in lower case.
    ///
    /// # Errors
    ///
    /// [`QrError::EmptyText`], [`QrError::NotPrintableAscii`], [`QrError::TooLong`].
    pub fn encode(text: &str, level: ErrorCorrection) -> Result<Self, QrError> {
        if text.is_empty() {
            return Err(QrError::EmptyText);
        }
        if let Some(position) = text.bytes().position(|byte| !(b' '..=b'~').contains(&byte)) {
            return Err(QrError::NotPrintableAscii { position });
        }
        let too_long = |_: EncoderError| QrError::TooLong {
            length: text.len(),
            level,
        };
        let code = QrCode::with_error_correction_level(text, level.into()).map_err(too_long)?;
        let version = match code.version() {
            Version::Normal(version) | Version::Micro(version) => version,
        };
        Ok(Self {
            version: u8::try_from(version).expect("the standard's versions are 1 to 40"),
            width: u32::try_from(code.width())
                .expect("the standard's largest symbol is 177 modules wide"),
            dark: code
                .into_colors()
                .into_iter()
                .map(|color| color == Color::Dark)
                .collect(),
        })
    }

    /// The version, 1 to 40: `modules() == 17 + 4 * version()`.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Modules a side, 21 to 177, without the quiet zone.
    pub fn modules(&self) -> u32 {
        self.width
    }

    /// Whether the module in that column and row is dark; everything outside the symbol is light.
    pub fn is_dark(&self, column: i64, row: i64) -> bool {
        let inside = 0..i64::from(self.width);
        if !inside.contains(&column) || !inside.contains(&row) {
            return false;
        }
        usize::try_from(row * i64::from(self.width) + column).is_ok_and(|index| self.dark[index])
    }
}

/// Error correction level (ISO/IEC 18004): the share of damaged codewords from which a symbol is still read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ErrorCorrection {
    /// About 7 %: the smallest symbol, for screens.
    L,
    /// About 15 %: for print.
    #[default]
    M,
    /// About 25 %: where the print gets scratched.
    Q,
    /// About 30 %: where part of the symbol gets covered.
    H,
}

impl ErrorCorrection {
    /// All levels, from the smallest symbol to the most robust.
    pub const ALL: [Self; 4] = [Self::L, Self::M, Self::Q, Self::H];

    /// Characters that a version 40 symbol holds in byte mode (ISO/IEC 18004, table 7); denser modes hold more.
    pub fn byte_capacity(self) -> usize {
        match self {
            Self::L => 2953,
            Self::M => 2331,
            Self::Q => 1663,
            Self::H => 1273,
        }
    }
}

impl From<ErrorCorrection> for EcLevel {
    fn from(level: ErrorCorrection) -> Self {
        match level {
            ErrorCorrection::L => Self::L,
            ErrorCorrection::M => Self::M,
            ErrorCorrection::Q => Self::Q,
            ErrorCorrection::H => Self::H,
        }
    }
}

impl fmt::Display for ErrorCorrection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// Reads `L`, `M`, `Q` or `H` in either case.
impl FromStr for ErrorCorrection {
    type Err = QrError;

    fn from_str(given: &str) -> Result<Self, QrError> {
        let found = Self::ALL
            .into_iter()
            .find(|level| level.to_string().eq_ignore_ascii_case(given));
        found.ok_or_else(|| QrError::Level {
            given: given.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_case_text_takes_a_smaller_symbol() {
        let version = |text| Symbol::encode(text, ErrorCorrection::M).unwrap().version();
        assert_eq!(version("HTTPS://QR.EXAMPLE.COM/ABCD23456"), 2);
        assert_eq!(version("https://qr.example.com/abcd23456"), 3);
    }

    #[test]
    fn the_smallest_version_that_holds_the_text_is_taken() {
        // Byte mode capacities of ISO/IEC 18004, table 7.
        for (level, version, capacity) in [
            (ErrorCorrection::L, 1, 17),
            (ErrorCorrection::M, 1, 14),
            (ErrorCorrection::Q, 2, 20),
            (ErrorCorrection::H, 3, 24),
            (ErrorCorrection::L, 9, 230),
            (ErrorCorrection::L, 10, 271),
            (ErrorCorrection::M, 26, 1059),
            (ErrorCorrection::H, 40, 1273),
        ] {
            let full = Symbol::encode(&"a".repeat(capacity), level).unwrap();
            assert_eq!(full.version(), version);
            assert_eq!(full.modules(), 17 + 4 * u32::from(version));
            if version < 40 {
                assert_eq!(
                    Symbol::encode(&"a".repeat(capacity + 1), level)
                        .unwrap()
                        .version(),
                    version + 1
                );
            }
        }
    }

    #[test]
    fn a_text_beyond_the_largest_symbol_is_refused_with_what_fits() {
        for level in ErrorCorrection::ALL {
            let fits = level.byte_capacity();
            assert_eq!(
                Symbol::encode(&"a".repeat(fits), level).unwrap().version(),
                40
            );
            let error = Symbol::encode(&"a".repeat(fits + 1), level).unwrap_err();
            assert_eq!(
                error,
                QrError::TooLong {
                    length: fits + 1,
                    level
                }
            );
            assert!(
                error
                    .to_string()
                    .contains(&format!("level {level}, where {fits} always do")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_text_that_scanners_would_disagree_on_is_refused() {
        let encode = |text| Symbol::encode(text, ErrorCorrection::M);
        assert_eq!(encode(""), Err(QrError::EmptyText));
        assert_eq!(
            encode("https://b\u{fc}cher.example/"),
            Err(QrError::NotPrintableAscii { position: 9 })
        );
        assert_eq!(
            encode("https://a.example/\n"),
            Err(QrError::NotPrintableAscii { position: 18 })
        );
        assert_eq!(
            encode("\u{7f}"),
            Err(QrError::NotPrintableAscii { position: 0 })
        );
    }

    #[test]
    fn a_level_is_read_in_either_case_and_nothing_else() {
        assert_eq!("q".parse(), Ok(ErrorCorrection::Q));
        assert_eq!("H".parse(), Ok(ErrorCorrection::H));
        let error = "medium".parse::<ErrorCorrection>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "error correction level \"medium\": allowed are L, M, Q and H"
        );
        assert!("".parse::<ErrorCorrection>().is_err());
    }
}
