//! The destinations that open a telephone, mail or message app: a plausible recipient, and nothing that such an app would take
//! for more. Whether the number or mailbox exists is not asked.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::Url;

use super::DestinationError;

/// `tel:`, RFC 3966, and beyond it local numbers without a context, service codes (`*100%23`) and pauses, which phones dial.
pub(super) fn check_telephone(url: &Url) -> Result<(), DestinationError> {
    check_common(url)?;
    if url.query().is_some() || !url.cannot_be_a_base() || !is_number(url.path()) {
        return Err(DestinationError::Telephone);
    }
    Ok(())
}

/// `sms:`, RFC 5724: numbers, separated by commas, and fields such as `body`.
pub(super) fn check_message(url: &Url) -> Result<(), DestinationError> {
    check_common(url)?;
    let numbers = url.cannot_be_a_base() && url.path().split(',').all(is_number);
    if !numbers {
        return Err(DestinationError::Message);
    }
    Ok(())
}

/// `mailto:`, RFC 6068: addresses, separated by commas, and header fields; the addresses may stand in a field instead.
pub(super) fn check_mail(url: &Url) -> Result<(), DestinationError> {
    check_common(url)?;
    let addresses = if url.path().is_empty() {
        url.query_pairs()
            .any(|(name, value)| !name.is_empty() && !value.is_empty())
    } else {
        url.path().split(',').all(is_mail_address)
    };
    if !url.cannot_be_a_base() || !addresses {
        return Err(DestinationError::Mail);
    }
    Ok(())
}

fn check_common(url: &Url) -> Result<(), DestinationError> {
    if url.fragment().is_some() {
        return Err(DestinationError::Fragment);
    }
    // A line break in a recipient or header field would begin a header of the attacker's (RFC 6068 §7); in a body it is how
    // lines are written (§5, RFC 5724 §2.2).
    let fields = url.query().into_iter().flat_map(|query| query.split('&'));
    for part in fields.chain([url.path()]) {
        let is_body = part
            .split_once('=')
            .is_some_and(|(name, _)| decoded(name).eq_ignore_ascii_case("body"));
        let is_refused = |c: char| c.is_control() && !(is_body && matches!(c, '\r' | '\n'));
        if decoded(part).contains(is_refused) {
            return Err(DestinationError::EncodedControl);
        }
    }
    Ok(())
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// A number and its parameters.
fn is_number(written: &str) -> bool {
    let (number, parameters) = written.split_once(';').unwrap_or((written, ""));
    let number = decoded(number);
    let digits = number.strip_prefix('+').unwrap_or(&number);
    digits.contains(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || "-.()*#,".contains(c))
        && parameters.bytes().all(is_uri_character)
}

fn is_mail_address(written: &str) -> bool {
    let text = decoded(written);
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(mailbox, domain)| !mailbox.is_empty() && !domain.is_empty())
        && written.bytes().all(is_uri_character)
}

/// What RFC 3986 lets stand in a path. The WHATWG parser leaves spaces and quotes in these.
fn is_uri_character(byte: u8) -> bool {
    byte.is_ascii_graphic() && !br#""<>[\]^`{|}"#.contains(&byte)
}
