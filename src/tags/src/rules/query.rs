//! A request's query, as rules ask it for parameters: names and values percent-decoded, as bytes, in the case in which they are.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use arrayvec::ArrayVec;
use percent_encoding::percent_decode_str;

/// Up to so many parameters are kept where they are; nothing is allocated for them then.
const FEW: usize = 32;

/// A name and a value, decoded.
type Decoded<'q> = (Cow<'q, [u8]>, Cow<'q, [u8]>);

/// A query, as it was sent.
pub(super) struct Query<'q> {
    text: &'q str,
    parameters: OnceCell<Parameters<'q>>,
}

/// Names and values in the order of what they decode to. A stranger chooses the query, and rules may ask thousands of questions: each is
/// answered by a few comparisons.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation")]
enum Parameters<'q> {
    Few(ArrayVec<(&'q str, &'q str), FEW>),
    Many(Vec<Decoded<'q>>),
}

impl<'q> Query<'q> {
    pub(super) fn new(text: &'q str) -> Self {
        Self {
            text,
            parameters: OnceCell::new(),
        }
    }

    /// Whether there is a parameter of this name.
    pub(super) fn has_name(&self, name: &[u8]) -> bool {
        if self.text.is_empty() {
            return false;
        }
        match self.parameters() {
            Parameters::Few(all) => all
                .binary_search_by(|(other, _)| compare(other, name))
                .is_ok(),
            Parameters::Many(all) => all
                .binary_search_by(|(other, _)| (**other).cmp(name))
                .is_ok(),
        }
    }

    /// Whether there is one of this name and value.
    pub(super) fn has(&self, name: &[u8], value: &[u8]) -> bool {
        if self.text.is_empty() {
            return false;
        }
        match self.parameters() {
            Parameters::Few(all) => all
                .binary_search_by(|(other, given)| {
                    compare(other, name).then_with(|| compare(given, value))
                })
                .is_ok(),
            Parameters::Many(all) => all
                .binary_search_by(|(other, given)| (&**other, &**given).cmp(&(name, value)))
                .is_ok(),
        }
    }

    fn parameters(&self) -> &Parameters<'q> {
        self.parameters.get_or_init(|| Parameters::new(self.text))
    }
}

impl<'q> Parameters<'q> {
    fn new(text: &'q str) -> Self {
        let mut few = ArrayVec::new();
        for parameter in parameters(text) {
            if few.try_push(parameter).is_err() {
                return Self::many(text);
            }
        }
        few.sort_unstable_by(|(name, value), (other_name, other_value)| {
            decoded(name)
                .cmp(decoded(other_name))
                .then_with(|| decoded(value).cmp(decoded(other_value)))
        });
        Self::Few(few)
    }

    fn many(text: &'q str) -> Self {
        let decoded = |text: &'q str| Cow::from(percent_decode_str(text));
        let mut all: Vec<_> = parameters(text)
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        all.sort_unstable();
        Self::Many(all)
    }
}

/// Names and values, still encoded. `x` is present and empty, as `x=` is.
fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let given = query.split('&').filter(|parameter| !parameter.is_empty());
    given.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

fn decoded(encoded: &str) -> impl Iterator<Item = u8> {
    percent_decode_str(encoded)
}

fn compare(encoded: &str, plain: &[u8]) -> Ordering {
    decoded(encoded).cmp(plain.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_compared_decoded_and_in_their_case() {
        let filler = "&f=x".repeat(FEW);
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

    #[test]
    fn the_last_parameter_counts_however_many_there_are() {
        for before in [0, 1, FEW - 1, FEW, FEW + 1, 8 * FEW] {
            // In the order of what they decode to, which is not that in which they are written.
            let text = format!("{}%62=%32&&c", "a&".repeat(before));
            let query = Query::new(&text);
            assert!(query.has(b"b", b"2") && query.has_name(b"b"), "{text}");
            assert!(query.has(b"c", b"") && !query.has(b"c", b"2"), "{text}");
            assert!(!query.has_name(b"d") && !query.has_name(b""), "{text}");
            assert_eq!(query.has(b"a", b""), before > 0, "{text}");
        }
    }
}
