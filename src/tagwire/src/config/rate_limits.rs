//! `edge.limits`: how many redirects are answered in a second.

use edge::RateLimits;

use super::error::ConfigError;
use super::kinds;
use super::values::Values;

/// What was given, and the edge's own defaults.
pub(crate) fn read(values: &mut Values) -> Result<RateLimits, ConfigError> {
    let mut rate = |key, default| Ok(values.one(key, &kinds::RATE)?.unwrap_or(default));
    let defaults = RateLimits::default();
    Ok(RateLimits {
        redirects_per_address: rate(
            "edge.limits.redirects_per_address_per_second",
            defaults.redirects_per_address,
        )?,
        redirects_per_tag: rate(
            "edge.limits.redirects_per_tag_per_second",
            defaults.redirects_per_tag,
        )?,
        unknown_codes_per_address: rate(
            "edge.limits.unknown_codes_per_address_per_second",
            defaults.unknown_codes_per_address,
        )?,
    })
}
