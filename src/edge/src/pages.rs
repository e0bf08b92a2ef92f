//! What is said to people and programs where there is no redirect: one short text for each case, as HTML and as RFC 9457 JSON.

use std::sync::LazyLock;

use tags::Outcome;

/// A case in which something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The root of a domain without a home of its own.
    Home,
    /// Nothing to be found here.
    NotFound,
    /// A tag that is paused.
    Paused,
    /// A tag that has not started.
    Scheduled,
    /// A tag that has ended.
    Expired,
    /// A tag that was revoked.
    Revoked,
    /// A tag that has been scanned as often as it may be.
    Limited,
    /// 400.
    BadRequest,
    /// 405.
    MethodNotAllowed,
    /// 408.
    RequestTimeout,
    /// 413.
    ContentTooLarge,
    /// 414.
    TargetTooLong,
    /// 421.
    Misdirected,
    /// 429: more than there may be in a second.
    TooManyRequests,
    /// 431.
    FieldsTooLarge,
    /// 501.
    NotImplemented,
    /// The site behind the domain cannot be reached, or its answer is none.
    BadGateway,
    /// The table is not complete yet.
    Unavailable,
    /// The site behind the domain has as many requests as it may.
    SiteBusy,
    /// The site behind the domain takes too long.
    GatewayTimeout,
    /// 505.
    VersionNotSupported,
    /// The site behind the domain leads back to it.
    Loop,
}

/// A body and its media type.
#[derive(Debug)]
pub struct Content {
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Page {
    /// All of them, in their order.
    pub const ALL: [Self; 22] = [
        Self::Home,
        Self::NotFound,
        Self::Paused,
        Self::Scheduled,
        Self::Expired,
        Self::Revoked,
        Self::Limited,
        Self::BadRequest,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::ContentTooLarge,
        Self::TargetTooLong,
        Self::Misdirected,
        Self::TooManyRequests,
        Self::FieldsTooLarge,
        Self::NotImplemented,
        Self::BadGateway,
        Self::Unavailable,
        Self::SiteBusy,
        Self::GatewayTimeout,
        Self::VersionNotSupported,
        Self::Loop,
    ];

    /// What is said where an outcome leads nowhere.
    pub fn for_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Paused => Self::Paused,
            Outcome::Scheduled => Self::Scheduled,
            Outcome::Expired => Self::Expired,
            Outcome::Revoked => Self::Revoked,
            Outcome::Limited => Self::Limited,
            Outcome::Unknown | Outcome::Redirected | Outcome::Fallback => Self::NotFound,
        }
    }

    /// The status code that it goes with.
    pub fn status(self) -> u16 {
        self.text().0
    }

    /// As HTML or as JSON. The home page is a page only.
    pub fn content(self, json: bool) -> &'static Content {
        let (html, problem) = &CONTENTS[self as usize];
        if json && self != Self::Home {
            problem
        } else {
            html
        }
    }

    /// Status, title, and what to make of it.
    fn text(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Home => (
                200,
                "Short links",
                "This address serves short links and QR codes. Scan a code, or follow a link, to get where it leads.",
            ),
            Self::NotFound => (
                404,
                "Nothing here",
                "There is no link at this address. If you typed it, check the spelling.",
            ),
            Self::Paused => (
                404,
                "Link paused",
                "This link is paused for now. Try again later.",
            ),
            Self::Scheduled => (
                404,
                "Not yet",
                "This link has not started yet. Try again later.",
            ),
            Self::Expired => (
                410,
                "Link ended",
                "This link has ended and leads nowhere any more.",
            ),
            Self::Revoked => (
                410,
                "Link withdrawn",
                "This link was withdrawn and leads nowhere any more.",
            ),
            Self::Limited => (
                410,
                "Link used up",
                "This link has been opened as often as it may be and leads nowhere any more.",
            ),
            Self::BadRequest => (
                400,
                "Bad request",
                "This request is malformed and cannot be understood.",
            ),
            Self::MethodNotAllowed => (
                405,
                "Method not allowed",
                "Links are opened with GET or HEAD only.",
            ),
            Self::RequestTimeout => (
                408,
                "Request too slow",
                "What was being sent did not come in time. Try again over a faster connection.",
            ),
            Self::ContentTooLarge => (
                413,
                "Too much content",
                "What was sent is larger than this address takes.",
            ),
            Self::TargetTooLong => (
                414,
                "Address too long",
                "The requested address is too long.",
            ),
            Self::Misdirected => (
                421,
                "Unknown host",
                "This server does not answer for the requested host name.",
            ),
            Self::TooManyRequests => (
                429,
                "Too many requests",
                "This link is asked for too often right now. Try again in a moment.",
            ),
            Self::FieldsTooLarge => (
                431,
                "Headers too large",
                "The request carries too many or too large header fields.",
            ),
            Self::NotImplemented => (
                501,
                "Not implemented",
                "This server does not know the request's method or transfer coding.",
            ),
            Self::BadGateway => (
                502,
                "Site unavailable",
                "The site at this address does not answer right now. Try again in a moment.",
            ),
            Self::Unavailable => (
                503,
                "Starting up",
                "Links are being loaded. Try again in a moment.",
            ),
            Self::SiteBusy => (
                503,
                "Site busy",
                "The site at this address has too many visitors right now. Try again in a moment.",
            ),
            Self::GatewayTimeout => (
                504,
                "Site too slow",
                "The site at this address takes too long to answer. Try again in a moment.",
            ),
            Self::VersionNotSupported => (
                505,
                "Version not supported",
                "This server speaks HTTP/1.1 here.",
            ),
            Self::Loop => (
                508,
                "Site leads in a circle",
                "The site at this address leads back to it. Its owner has to change that.",
            ),
        }
    }
}

/// What a page may load: nothing but its own style, which is allowed by its hash.
pub const CONTENT_SECURITY_POLICY: &str = concat!(
    "default-src 'none'; style-src 'sha256-",
    "5lKdMHP4kZNh0hSdGomQlutrhV8EeNeu9r5l9XNoJd4=",
    "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
);

const STYLE: &str = ":root{color-scheme:light dark}\
    body{margin:0;min-height:100vh;display:grid;place-content:center;font:1.125rem/1.6 system-ui,sans-serif}\
    main{max-width:32rem;padding:2rem}\
    h1{margin:0 0 .5rem;font-size:1.75rem;line-height:1.2}\
    p{margin:0}";

static CONTENTS: LazyLock<Vec<(Content, Content)>> =
    LazyLock::new(|| Page::ALL.map(|page| (html(page), problem(page))).into());

fn html(page: Page) -> Content {
    let (_, title, detail) = page.text();
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n<p>{detail}</p>\n</main>\n</body>\n</html>\n"
    );
    Content {
        media_type: "text/html; charset=utf-8",
        bytes: text.into_bytes(),
    }
}

/// RFC 9457 §3. The texts are our own and have nothing to escape.
fn problem(page: Page) -> Content {
    let (status, title, detail) = page.text();
    let text = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\"}}\n"
    );
    Content {
        media_type: "application/problem+json",
        bytes: text.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use sha2::Digest;

    use super::*;

    #[test]
    fn the_policy_allows_exactly_the_style_that_the_pages_have() {
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(STYLE));
        assert!(
            CONTENT_SECURITY_POLICY.contains(&format!("'sha256-{hash}'")),
            "the style's hash is {hash}"
        );
    }

    #[test]
    fn every_page_says_the_same_in_both_forms() {
        for page in Page::ALL {
            let problem: serde_json::Value =
                serde_json::from_slice(&problem(page).bytes).expect("JSON");
            let html = String::from_utf8(html(page).bytes).expect("UTF-8");
            for field in ["title", "detail"] {
                let text = problem[field].as_str().expect("a text");
                assert!(html.contains(&format!(">{text}<")), "{page:?}: {field}");
                assert!(
                    text.bytes()
                        .all(|b| b.is_ascii() && !b"<>&\"\\".contains(&b)),
                    "{page:?}: nothing to escape"
                );
            }
            assert_eq!(problem["status"], page.status());
        }
    }
}
