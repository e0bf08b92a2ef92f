//! How a symbol is drawn: module size, quiet zone and colours, each checked so that scanners read the result.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::QrError;

/// Module sizes in pixels. One pixel is for software that enlarges it; some decoders need two.
pub const MODULE_SIZES: RangeInclusive<u32> = 1..=64;

/// Quiet zones in modules. ISO/IEC 18004 demands four on every side.
pub const QUIET_ZONES: RangeInclusive<u32> = 4..=40;

/// Least contrast ratio between dark and light, as WCAG 2.2 defines it and demands for text.
///
/// It also excludes pure red on white (4.0), which scanners with red light cannot see.
pub const MIN_CONTRAST: f64 = 4.5;

/// A drawing style. It starts at [`Style::default`]: 8 pixels a module, a quiet zone of 4, black on white.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    module_size: u32,
    quiet_zone: u32,
    dark: Rgb,
    light: Rgb,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            module_size: 8,
            quiet_zone: *QUIET_ZONES.start(),
            dark: Rgb::BLACK,
            light: Rgb::WHITE,
        }
    }
}

impl Style {
    /// Takes another module size, in pixels.
    ///
    /// # Errors
    ///
    /// [`QrError::ModuleSize`] outside [`MODULE_SIZES`].
    pub fn with_module_size(self, pixels: u32) -> Result<Self, QrError> {
        if !MODULE_SIZES.contains(&pixels) {
            return Err(QrError::ModuleSize { given: pixels });
        }
        Ok(Self {
            module_size: pixels,
            ..self
        })
    }

    /// Takes another quiet zone, in modules.
    ///
    /// # Errors
    ///
    /// [`QrError::QuietZone`] outside [`QUIET_ZONES`].
    pub fn with_quiet_zone(self, modules: u32) -> Result<Self, QrError> {
        if !QUIET_ZONES.contains(&modules) {
            return Err(QrError::QuietZone { given: modules });
        }
        Ok(Self {
            quiet_zone: modules,
            ..self
        })
    }

    /// Takes other colours: `dark` for the dark modules, `light` for the light ones and the quiet zone.
    ///
    /// # Errors
    ///
    /// [`QrError::Inverted`] when `dark` is not the darker one, [`QrError::Contrast`] below [`MIN_CONTRAST`].
    pub fn with_colors(self, dark: Rgb, light: Rgb) -> Result<Self, QrError> {
        if dark.luminance() >= light.luminance() {
            return Err(QrError::Inverted { dark, light });
        }
        let ratio = (light.luminance() + 0.05) / (dark.luminance() + 0.05);
        if ratio < MIN_CONTRAST {
            return Err(QrError::Contrast { dark, light, ratio });
        }
        Ok(Self {
            dark,
            light,
            ..self
        })
    }

    /// Pixels a side of one module.
    pub fn module_size(&self) -> u32 {
        self.module_size
    }

    /// Modules of quiet zone on every side.
    pub fn quiet_zone(&self) -> u32 {
        self.quiet_zone
    }

    /// Colour of the dark modules.
    pub fn dark(&self) -> Rgb {
        self.dark
    }

    /// Colour of the light modules and the quiet zone.
    pub fn light(&self) -> Rgb {
        self.light
    }
}

/// An opaque sRGB colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rgb(pub [u8; 3]);

impl Rgb {
    /// `#000000`
    pub const BLACK: Self = Self([0; 3]);
    /// `#ffffff`
    pub const WHITE: Self = Self([255; 3]);

    /// Relative luminance, 0 (black) to 1 (white), as WCAG 2.2 defines it.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// Reads six hexadecimal digits in either case, with or without a leading `#`.
impl FromStr for Rgb {
    type Err = QrError;

    fn from_str(given: &str) -> Result<Self, QrError> {
        let digits = given.strip_prefix('#').unwrap_or(given);
        let well_formed = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u32::from_str_radix(digits, 16) {
            Ok(value) if well_formed => {
                let [_, red, green, blue] = value.to_be_bytes();
                Ok(Self([red, green, blue]))
            }
            _ => Err(QrError::Rgb {
                given: given.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colors(dark: &str, light: &str) -> Result<Style, QrError> {
        Style::default().with_colors(dark.parse()?, light.parse()?)
    }

    #[test]
    fn sizes_outside_the_limits_are_refused_with_the_limits() {
        for size in [1, 64] {
            assert_eq!(
                Style::default()
                    .with_module_size(size)
                    .unwrap()
                    .module_size(),
                size
            );
        }
        for size in [0, 65, u32::MAX] {
            let error = Style::default().with_module_size(size).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("module size {size}: allowed are 1 to 64 pixels")
            );
        }
    }

    #[test]
    fn a_quiet_zone_below_the_standard_cannot_be_made() {
        for zone in [4, 40] {
            assert_eq!(
                Style::default().with_quiet_zone(zone).unwrap().quiet_zone(),
                zone
            );
        }
        for zone in [0, 1, 3, 41, u32::MAX] {
            let error = Style::default().with_quiet_zone(zone).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "quiet zone {zone}: allowed are 4 to 40 modules (ISO/IEC 18004 asks for 4)"
                )
            );
        }
    }

    #[test]
    fn inverted_colours_are_refused() {
        for (dark, light) in [
            ("ffffff", "000000"),
            ("000000", "000000"),
            ("ffff00", "0000ff"),
        ] {
            assert!(
                matches!(colors(dark, light), Err(QrError::Inverted { .. })),
                "{dark} on {light}"
            );
        }
    }

    #[test]
    fn colours_too_close_for_a_camera_are_refused_with_their_contrast() {
        // Ratios as published by WCAG contrast checkers.
        for (dark, light, ratio) in [
            ("777777", "ffffff", "4.5"),
            ("ff0000", "ffffff", "4.0"),
            ("000000", "333333", "1.7"),
        ] {
            let error = colors(dark, light).unwrap_err();
            let said = format!(
                "dark #{dark} on light #{light} has a contrast of {ratio}:1: at least 4.5:1 is needed"
            );
            assert_eq!(error.to_string(), said);
        }
        for (dark, light) in [
            ("767676", "ffffff"),
            ("000000", "ffffff"),
            ("0000ff", "ffff00"),
            ("7b1113", "f5e6c8"),
        ] {
            let style = colors(dark, light).unwrap();
            assert_eq!(
                (style.dark().to_string(), style.light().to_string()),
                (format!("#{dark}"), format!("#{light}"))
            );
        }
    }

    #[test]
    fn a_colour_is_six_hexadecimal_digits() {
        assert_eq!("1A2b3C".parse(), Ok(Rgb([0x1a, 0x2b, 0x3c])));
        assert_eq!("#1a2b3c".parse(), Ok(Rgb([0x1a, 0x2b, 0x3c])));
        for given in [
            "",
            "#",
            "fff",
            "#1a2b3c4d",
            "##1a2b3",
            "+1a2b3",
            "1a2b3g",
            "red",
            "\u{ff11}\u{ff11}",
        ] {
            assert_eq!(
                given.parse::<Rgb>(),
                Err(QrError::Rgb {
                    given: given.to_owned()
                })
            );
        }
    }
}
