//! An HTTP/2 request as the HTTP/1.1 head that says the same, so that one parser judges both (RFC 9113 §8.3.1, RFC 9112).

use http::header::{COOKIE, HOST, HeaderName};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::host::Host;
use crate::pages::Page;

/// Writes the head into `out`. Refuses what cannot be said in HTTP/1.1, so that nothing in it can pass for another line.
pub(crate) fn transcribe(parts: &Parts, out: &mut Vec<u8>) -> Result<(), Page> {
    out.clear();
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let host = host(authority, &parts.headers)?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Page::BadRequest);
    }
    line(out, &[parts.method.as_str().as_bytes(), b" "]);
    if parts.method == Method::CONNECT {
        // Authority-form needs a port; extended CONNECT (RFC 8441) leaves it out.
        let port: &[u8] = if host.contains(&b':') { b"" } else { b":443" };
        line(out, &[host, port]);
    } else {
        line(out, &[path.as_bytes()]);
    }
    line(out, &[b" HTTP/1.1\r\nhost: ", host, b"\r\n"]);
    let said_apart = |name: &HeaderName| *name == HOST || *name == COOKIE;
    for (name, value) in parts.headers.iter().filter(|(name, _)| !said_apart(name)) {
        line(
            out,
            &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"],
        );
    }
    // RFC 9113 §8.2.3: crumbs of a cookie are one field again before they are anything but HTTP/2's.
    for (number, crumb) in parts.headers.get_all(COOKIE).iter().enumerate() {
        let before: &[u8] = if number == 0 { b"cookie: " } else { b"; " };
        line(out, &[before, crumb.as_bytes()]);
    }
    if parts.headers.contains_key(COOKIE) {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// `:authority`, or the Host field without it. Where there are both, they must name the same host (RFC 9113 §8.3.1).
fn host<'a>(authority: Option<&'a str>, fields: &'a HeaderMap) -> Result<&'a [u8], Page> {
    let mut given = fields.get_all(HOST).iter();
    let field = given.next();
    if given.next().is_some() {
        return Err(Page::BadRequest);
    }
    let Some(authority) = authority else {
        return field.map(|field| field.as_bytes()).ok_or(Page::BadRequest);
    };
    let key = |text: &str| Host::parse(text).map(|host| host.with_key(str::to_owned));
    match field {
        Some(field) if field.as_bytes() != authority.as_bytes() => {
            let field = field.to_str().ok().and_then(key);
            if field.is_none() || field != key(authority) {
                return Err(Page::BadRequest);
            }
        }
        _ => {}
    }
    Ok(authority.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn transcribed(uri: &str, fields: &[(&str, &str)]) -> Result<String, Page> {
        let mut request = Request::builder().method("GET").uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a test's request").into_parts();
        let mut out = b"left over".to_vec();
        transcribe(&parts, &mut out)?;
        Ok(String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn a_request_says_the_same_in_http_1_1() {
        assert_eq!(
            transcribed("https://a.example/b?c=d", &[("accept", "*/*"), ("x", "y")]).as_deref(),
            Ok("GET /b?c=d HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\nx: y\r\n\r\n")
        );
    }

    #[test]
    fn crumbs_of_a_cookie_are_one_field_again() {
        let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")];
        assert_eq!(
            transcribed("https://a.example/", &crumbs).as_deref(),
            Ok("GET / HTTP/1.1\r\nhost: a.example\r\nx: y\r\ncookie: a=1; b=2\r\n\r\n")
        );
    }

    #[test]
    fn a_host_field_must_name_the_authority() {
        let with_host = |host: &str| transcribed("https://a.example:443/", &[("host", host)]);
        for host in ["a.example:443", "A.example", "a.example.:8443"] {
            assert_eq!(
                with_host(host).as_deref(),
                Ok("GET / HTTP/1.1\r\nhost: a.example:443\r\n\r\n"),
                "{host}"
            );
        }
        for host in ["b.example", "", "a.example b", "u@a.example"] {
            assert_eq!(with_host(host), Err(Page::BadRequest), "{host}");
        }
        let two = [("host", "a.example"), ("host", "a.example")];
        assert_eq!(
            transcribed("https://a.example/", &two),
            Err(Page::BadRequest)
        );
        assert_eq!(
            transcribed("/", &[("host", "a.example")]).as_deref(),
            Ok("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
        );
        assert_eq!(transcribed("/", &[]), Err(Page::BadRequest));
    }
}
