//! QR symbols of any text in any style: made or refused, never too large to be drawn.

use qr::{ErrorCorrection, Rgb, Style, Symbol};

use crate::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let level = [
        ErrorCorrection::L,
        ErrorCorrection::M,
        ErrorCorrection::Q,
        ErrorCorrection::H,
    ][usize::from(input.byte() % 4)];
    let (module, zone) = (u32::from(input.byte()), u32::from(input.byte()));
    let colours = std::str::from_utf8(input.bytes(12)).unwrap_or_default();
    let style = Style::default()
        .with_module_size(module)
        .and_then(|style| style.with_quiet_zone(zone));
    let style = match (
        style,
        colours
            .split_once(' ')
            .map(|(dark, light)| (dark.parse::<Rgb>(), light.parse::<Rgb>())),
    ) {
        (Ok(style), Some((Ok(dark), Ok(light)))) => {
            style.with_colors(dark, light).unwrap_or_default()
        }
        _ => Style::default(),
    };
    let Ok(symbol) = std::str::from_utf8(input.0)
        .map_or(Err(()), |text| Symbol::encode(text, level).map_err(|_| ()))
    else {
        return;
    };
    assert!(symbol.svg(&style).starts_with("<svg "));
    symbol.terminal();
    if symbol.modules() * style.module_size() <= 512 {
        let _ = symbol.png(&style);
    }
}
