//! Which paths are answered as codes: the edge asks it of every request, the admin of every destination on one of our own domains.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::Code;

/// The prefixes under which every domain answers codes: `/{code}` and `/q/{code}`.
pub const CODE_PREFIXES: [&str; 2] = ["/q/", "/"];

/// The well-formed code in a request's path (without query), or none. One trailing slash is allowed; percent-encoded unreserved
/// characters count as themselves (RFC 3986 §2.3). Allocates only if something is percent-encoded.
pub fn code_in_path(path: &str) -> Option<Cow<'_, str>> {
    let rest = CODE_PREFIXES
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))?;
    let text = rest.strip_suffix('/').unwrap_or(rest);
    let code = if text.contains('%') {
        percent_decode_str(text).decode_utf8().ok()?
    } else {
        Cow::Borrowed(text)
    };
    (Code::is_well_formed(&code) && !Code::RESERVED.contains(&&*code)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::code_in_path;

    #[test]
    fn a_code_is_found_with_and_without_prefix_and_trailing_slash() {
        for path in [
            "/abc",
            "/abc/",
            "/q/abc",
            "/q/abc/",
            "/%61bc",
            "/q/a%62c/",
            "/%61%62%63",
        ] {
            assert_eq!(code_in_path(path).as_deref(), Some("abc"), "{path}");
        }
    }

    #[test]
    fn a_path_of_another_shape_is_no_code() {
        for path in [
            "",
            "/",
            "//",
            "/q/",
            "/q",
            "/q//",
            "abc",
            "/abc//",
            "//abc",
            "/a/b",
            "/q/a/b",
            "/a.b",
            "/a%2Fb",
            "/a%",
            "/a%zz",
            "/%ff",
            "/healthz",
            "/%68ealthz",
            "/q/q",
            "/a%00",
            "/a b",
            "/robots.txt",
            "/%2561bc",
        ] {
            assert_eq!(code_in_path(path), None, "{path}");
        }
    }
}
