//! Whether a client would rather have JSON than HTML, by its Accept header (RFC 9110 §12.5.1).

/// Whether these Accept lines prefer JSON: by quality, then by naming it (`application/json, */*` does). HTML wins a tie.
pub(crate) fn prefers_json<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut json, mut html) = (Preference::default(), Preference::default());
    for range in lines.flat_map(|line| line.split(|b| *b == b',')) {
        let mut parts = range.split(|b| *b == b';');
        let media = parts.next().unwrap_or_default().trim_ascii();
        let Some(quality) = quality(parts) else {
            continue;
        };
        let is = |name: &str| media.eq_ignore_ascii_case(name.as_bytes());
        if is("application/problem+json") || is("application/json") {
            json.offer(2, quality);
        } else if is("text/html") {
            html.offer(2, quality);
        } else if is("application/*") {
            json.offer(1, quality);
        } else if is("text/*") {
            html.offer(1, quality);
        } else if is("*/*") {
            json.offer(0, quality);
            html.offer(0, quality);
        }
    }
    json > html && json.quality > 0
}

/// How much a type is wanted. A more specific range takes precedence over what a wider one says, whatever their qualities.
#[derive(Clone, Copy, Default, PartialEq, PartialOrd)]
struct Preference {
    quality: u16,
    specificity: u8,
}

impl Preference {
    fn offer(&mut self, specificity: u8, quality: u16) {
        if specificity > self.specificity {
            *self = Self {
                quality,
                specificity,
            };
        } else if specificity == self.specificity {
            self.quality = self.quality.max(quality);
        }
    }
}

/// The `q` among a range's parameters, in thousandths; 1000 without one. None: not a valid one.
fn quality<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    for parameter in parameters {
        let parameter = parameter.trim_ascii();
        if let [b'q' | b'Q', b'=', value @ ..] = parameter {
            let value: f32 = str::from_utf8(value).ok()?.parse().ok()?;
            return (0.0..=1.0)
                .contains(&value)
                .then_some((value * 1000.0) as u16);
        }
    }
    Some(1000)
}

#[cfg(test)]
mod tests {
    use super::prefers_json;

    #[test]
    fn json_is_preferred_by_quality_then_by_being_named() {
        for (accept, json) in [
            ("", false),
            ("*/*", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                false,
            ),
            ("application/json", true),
            ("application/problem+json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json, text/plain, */*", true),
            ("application/*", true),
            ("text/*", false),
            ("text/html, application/json", false),
            ("text/html;q=0.5, application/json", true),
            ("text/html, application/json;q=0.9", false),
            ("application/json;q=0", false),
            ("application/json;q=0, */*", false),
            ("application/json;q=0.1, */*;q=0.9", false),
            ("application/json;q=nonsense", false),
            ("application/json ; Q=0.4 , text/html ; q=0.3", true),
            ("image/png", false),
        ] {
            assert_eq!(
                prefers_json([accept.as_bytes()].into_iter()),
                json,
                "{accept}"
            );
        }
        let lines: [&[u8]; 2] = [b"text/html;q=0.1", b"application/json"];
        assert!(
            prefers_json(lines.into_iter()),
            "several lines are one list"
        );
    }
}
