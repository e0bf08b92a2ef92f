//! A request's query, as rules ask it for parameters: names and values percent-decoded, as bytes, in the case in which they are.

use std::borrow::Cow;
use std::cell::OnceCell;

use percent_encoding::percent_decode_str;

/// Up to so many bytes a query is read anew for each question; nothing is allocated for it then.
const SHORT: usize = 512;

/// A name and a value, decoded.
type Parameter<'q> = (Cow<'q, [u8]>, Cow<'q, [u8]>);

/// A query, as it was sent.
pub(super) struct Query<'q> {
    text: &'q str,
    /// The parameters of a long one, in order: a stranger chooses it, and reading kilobytes for each of hundreds of questions would hold
    /// up a worker.
    sorted: OnceCell<Vec<Parameter<'q>>>,
}

impl<'q> Query<'q> {
    pub(super) fn new(text: &'q str) -> Self {
        Self {
            text,
            sorted: OnceCell::new(),
        }
    }

    /// Whether there is a parameter of this name.
    pub(super) fn has_name(&self, name: &[u8]) -> bool {
        if let Some(sorted) = self.sorted() {
            let at = sorted.partition_point(|(other, _)| **other < *name);
            return sorted.get(at).is_some_and(|(other, _)| **other == *name);
        }
        parameters(self.text).any(|(other, _)| is(other, name))
    }

    /// Whether there is one of this name and value.
    pub(super) fn has(&self, name: &[u8], value: &[u8]) -> bool {
        if let Some(sorted) = self.sorted() {
            let wanted = (name, value);
            return sorted
                .binary_search_by(|(name, value)| (&**name, &**value).cmp(&wanted))
                .is_ok();
        }
        parameters(self.text).any(|(other, given)| is(other, name) && is(given, value))
    }

    fn sorted(&self) -> Option<&[Parameter<'q>]> {
        let sort = || {
            let decoded = |text: &'q str| Cow::from(percent_decode_str(text));
            let mut all: Vec<_> = parameters(self.text)
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect();
            all.sort_unstable();
            all
        };
        (self.text.len() > SHORT).then(|| self.sorted.get_or_init(sort).as_slice())
    }
}

/// Names and values, still encoded. `x` is present and empty, as `x=` is.
fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let given = query.split('&').filter(|parameter| !parameter.is_empty());
    given.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

fn is(encoded: &str, plain: &[u8]) -> bool {
    // Most differ by their length already: decoding makes nothing longer.
    encoded.len() >= plain.len() && percent_decode_str(encoded).eq(plain.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_compared_decoded_and_in_their_case() {
        let filler = format!("&f={}", "x".repeat(SHORT));
        for long in ["", &filler] {
            let has = |query: &str, name: &str, value: &str| {
                let text = format!("{query}{long}");
                Query::new(&text).has(name.as_bytes(), value.as_bytes())
            };
            assert!(has("ref=tv", "ref", "tv"));
            assert!(has("a=1&ref=radio&%72ef=t%76", "ref", "tv"));
            assert!(has("stra%C3%9Fe=%c3%a4", "straße", "ä"));
            assert!(has("a=1=2", "a", "1=2"));
            assert!(has("a=1+2", "a", "1+2"));
            assert!(has("x", "x", "") && has("x=", "x", "") && has("&&x&", "x", ""));
            assert!(!has("ref=TV", "ref", "tv"));
            assert!(!has("REF=tv", "ref", "tv"));
            assert!(!has("a=1+2", "a", "1 2"));
            assert!(!has("reference=tv", "ref", "tv"));
            assert!(!has("a=%31", "a", "%31"));
            assert!(!has("", "x", ""));
            let named = |query: &str, name: &str| {
                Query::new(&format!("{query}{long}")).has_name(name.as_bytes())
            };
            assert!(named("b&%61=2", "a") && named("a", "a"));
            assert!(!named("b=a&aa=1", "a"));
        }
    }
}
