//! `/api/v1/tags/{code}/qr.svg` and `.png`: the tag's symbol.

use ::qr::{ErrorCorrection, MODULE_SIZES, QUIET_ZONES, QrError, Rgb, Style, Symbol};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tags::Code;
use utoipa::IntoParams;

use super::blocking;
use super::params::Params;
use super::segment::Segment;
use crate::auth::Principal;
use crate::edits::TagName;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

const PARAMETERS: [&str; 6] = ["domain", "size", "margin", "level", "dark", "light"];

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents `PARAMETERS`")]
struct SymbolParameters {
    /// For another than the default
    domain: Option<String>,
    /// Pixels of a module, 1 to 64; by default 8
    #[param(minimum = 1, maximum = 64)]
    size: Option<u32>,
    /// Modules of quiet zone, 4 (the default) to 40
    #[param(minimum = 4, maximum = 40)]
    margin: Option<u32>,
    /// Error correction level: L, M (the default), Q or H
    level: Option<String>,
    /// Colour of the dark modules, such as 000000
    dark: Option<String>,
    /// Colour of the light ones, such as ffffff
    light: Option<String>,
}

/// The tag's symbol for print.
#[utoipa::path(
    get, path = "/api/v1/tags/{code}/qr.svg", tag = "tags",
    params(("code" = String, Path), SymbolParameters),
    responses(
        (status = 200, description = "The symbol", content_type = "image/svg+xml", body = String),
        (status = 400, description = "A parameter is not valid", body = ProblemDetails),
        (status = 404, description = "There is no such tag, or not in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn svg(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
) -> Result<Response, Problem> {
    let (symbol, style) = symbol(&admin, &who, &code, params)?;
    let image = blocking(move || Ok::<_, Problem>(symbol.svg(&style))).await?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], image).into_response())
}

/// The tag's symbol for screens.
#[utoipa::path(
    get, path = "/api/v1/tags/{code}/qr.png", tag = "tags",
    params(("code" = String, Path), SymbolParameters),
    responses(
        (status = 200, description = "The symbol", content_type = "image/png", body = Vec<u8>),
        (status = 400, description = "A parameter is not valid", body = ProblemDetails),
        (status = 404, description = "There is no such tag, or not in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn png(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
) -> Result<Response, Problem> {
    let (symbol, style) = symbol(&admin, &who, &code, params)?;
    let image = blocking(move || symbol.png(&style).map_err(refused)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], image).into_response())
}

fn symbol(
    admin: &Admin,
    who: &Principal,
    code: &str,
    params: Params,
) -> Result<(Symbol, Style), Problem> {
    let params = params.allow(&PARAMETERS)?;
    let code = Code::parse(code).map_err(|_| Problem::not_found("tag"))?;
    let tag = admin.find_tag(
        who,
        &TagName {
            domain: params.domain()?,
            code,
        },
    )?;
    let level = params
        .parsed::<ErrorCorrection>("level")?
        .unwrap_or(ErrorCorrection::M);
    let mut style = Style::default();
    if let Some(size) = params.integer("size", *MODULE_SIZES.start(), *MODULE_SIZES.end())? {
        style = style.with_module_size(size).map_err(refused)?;
    }
    if let Some(margin) = params.integer("margin", *QUIET_ZONES.start(), *QUIET_ZONES.end())? {
        style = style.with_quiet_zone(margin).map_err(refused)?;
    }
    let dark = params.parsed::<Rgb>("dark")?.unwrap_or(style.dark());
    let light = params.parsed::<Rgb>("light")?.unwrap_or(style.light());
    style = style.with_colors(dark, light).map_err(refused)?;

    let text = admin
        .options()
        .public_url
        .short_url(&tag.domain, tag.code.as_str());
    // In capitals, the URL fits the denser alphanumeric mode; only where case does not matter is it the same code.
    let text = if admin.index().is_case_insensitive(&tag.domain)? {
        text.to_ascii_uppercase()
    } else {
        text
    };
    Ok((Symbol::encode(&text, level).map_err(refused)?, style))
}

fn refused(error: QrError) -> Problem {
    let parameter = match &error {
        QrError::ModuleSize { .. } | QrError::PngTooLarge { .. } => "size",
        QrError::QuietZone { .. } => "margin",
        QrError::Level { .. } | QrError::TooLong { .. } => "level",
        QrError::Inverted { .. } | QrError::Contrast { .. } | QrError::Rgb { .. } => "dark",
        QrError::EmptyText | QrError::NotPrintableAscii { .. } | QrError::Png { .. } => {
            return Problem::internal(&error);
        }
    };
    Problem::parameter(parameter, error)
}
