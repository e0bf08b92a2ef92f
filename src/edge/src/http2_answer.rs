//! Puts an answer into HTTP/2's words (RFC 9113 §8.3.2). They are those of `http1`, field by field.

use bytes::Bytes;
use h2::server::SendResponse;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, DATE, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::answer::{Answer, Body};
use crate::pages;

/// As many as an answer can have.
const FIELDS: usize = 14;

/// What `http` has no name for.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Gives the answer to the stream, to be sent with those of others. Fails when the client has taken the stream back.
pub(crate) fn send<'l>(
    stream: &mut SendResponse<Bytes>,
    answer: &Answer<'_>,
    is_head: bool,
    date: &[u8],
    accept: impl Iterator<Item = &'l [u8]>,
) -> Result<(), h2::Error> {
    let content = answer.content(accept);
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    let mut fields = HeaderMap::with_capacity(FIELDS);
    let media_type = content.map(|(media_type, _)| media_type);
    fill(&mut fields, answer, date, media_type);
    // RFC 9110 §8.6: a 204 has none.
    if answer.status != 204 {
        let len = content.map_or(0, |(_, bytes)| bytes.len());
        fields.insert(CONTENT_LENGTH, HeaderValue::from(len));
    }
    *response.headers_mut() = fields;
    match content {
        Some((_, bytes)) if !is_head && !bytes.is_empty() => stream
            .send_response(response, false)?
            .send_data(Bytes::from_static(bytes), true),
        _ => stream.send_response(response, true).map(|_| ()),
    }
}

fn fill(
    fields: &mut HeaderMap,
    answer: &Answer<'_>,
    date: &[u8],
    media_type: Option<&'static str>,
) {
    put(fields, DATE, date);
    if let Some(location) = &answer.location {
        put(fields, LOCATION, location.as_bytes());
    }
    match answer.max_age {
        None => say(fields, CACHE_CONTROL, "no-store"),
        Some(seconds) => put(
            fields,
            CACHE_CONTROL,
            format!("private, max-age={seconds}").as_bytes(),
        ),
    }
    if let Some(seconds) = answer.retry_after {
        fields.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(exceeded) = answer.exceeded {
        let policy = exceeded.policy().to_string();
        put(fields, RATE_LIMIT_POLICY, policy.as_bytes());
        say(fields, RATE_LIMIT, exceeded.service_limit());
    }
    if let Some(hsts) = answer.hsts {
        put(
            fields,
            STRICT_TRANSPORT_SECURITY,
            hsts.to_string().as_bytes(),
        );
    }
    if answer.says_allow() {
        say(fields, ALLOW, "GET, HEAD");
    }
    let Some(media_type) = media_type else { return };
    say(fields, CONTENT_TYPE, media_type);
    say(fields, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if media_type.starts_with("text/html") {
        say(
            fields,
            CONTENT_SECURITY_POLICY,
            pages::CONTENT_SECURITY_POLICY,
        );
        say(fields, REFERRER_POLICY, "no-referrer");
    }
    if matches!(answer.body, Body::Page(_)) {
        say(fields, VARY, "Accept");
    }
}

fn say(fields: &mut HeaderMap, name: HeaderName, value: &'static str) {
    fields.insert(name, HeaderValue::from_static(value));
}

fn put(fields: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    // Destinations are ASCII, and so is all else that an answer says: this never fails.
    if let Ok(value) = HeaderValue::from_bytes(value) {
        fields.insert(name, value);
    }
}
