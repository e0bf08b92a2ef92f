//! What becomes of the query that a visitor's request carries: kept from the destination, added to it, or put above it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::InvalidValue;
use crate::destination::is_web;

/// How a visitor's query and the destination's come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum QueryMode {
    /// The visitor's is left out.
    Drop,
    /// The visitor's parameters are added where the destination has none of that name.
    #[default]
    Append,
    /// The visitor's parameters replace the destination's of the same names.
    Override,
}

impl QueryMode {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Append => "append",
            Self::Override => "override",
        }
    }

    /// The destination, a normalised URL, for a visitor who came with this query (without its `?`, as it was sent). Only http and
    /// https take one. Names are compared percent-decoded, the visitor's own repetitions stay, and their text comes last, encoded
    /// where a URL needs it, before the destination's fragment. Nothing is allocated when a short destination takes nothing over.
    ///
    /// ```
    /// use tags::QueryMode;
    ///
    /// let destination = "https://example.com/?utm_source=can#top";
    /// let location = QueryMode::Append.apply(destination, "utm_source=tv&seat=12");
    /// assert_eq!(location, "https://example.com/?utm_source=can&seat=12#top");
    /// ```
    pub fn apply<'a>(self, destination: &'a str, visitor: &str) -> Cow<'a, str> {
        if self == Self::Drop || visitor.is_empty() || !is_web(destination) {
            return Cow::Borrowed(destination);
        }
        let fragment_start = destination.find('#').unwrap_or(destination.len());
        let (address, fragment) = destination.split_at(fragment_start);
        let (base, query) = address.split_once('?').unwrap_or((address, ""));

        let own = (self == Self::Append).then(|| Names::of(query));
        let theirs = (self == Self::Override).then(|| Names::of(visitor));
        let is_free = |names: &Option<Names<'_>>, parameter: &str| {
            names.as_ref().is_none_or(|names| !names.has(parameter))
        };
        let mut added = parameters(visitor)
            .filter(|it| is_free(&own, it))
            .peekable();
        if added.peek().is_none() {
            return Cow::Borrowed(destination);
        }
        let kept = parameters(query).filter(|it| is_free(&theirs, it));

        let mut location = String::with_capacity(destination.len() + visitor.len() + 1);
        location.push_str(base);
        let mut separator = '?';
        for parameter in kept.chain(added) {
            location.push(separator);
            location.extend(utf8_percent_encode(parameter, QUERY));
            separator = '&';
        }
        location.push_str(fragment);
        Cow::Owned(location)
    }
}

impl FromStr for QueryMode {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "drop" => Ok(Self::Drop),
            "append" => Ok(Self::Append),
            "override" => Ok(Self::Override),
            _ => Err(InvalidValue::new(
                "query mode",
                text,
                "drop, append or override",
            )),
        }
    }
}

/// The WHATWG special-query percent-encode set. Escapes are left as they are, so that nothing is encoded twice.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\'');

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|parameter| !parameter.is_empty())
}

fn name(parameter: &str) -> &str {
    parameter.split('=').next().unwrap_or(parameter)
}

/// The names in a query. A long one gets a set: a stranger chooses the visitor's query, and comparing each with each would let a
/// few kilobytes hold up a worker.
enum Names<'a> {
    Few(&'a str),
    Many(BTreeSet<Cow<'a, [u8]>>),
}

impl<'a> Names<'a> {
    const FEW_BYTES: usize = 128;

    fn of(query: &'a str) -> Self {
        if query.len() <= Self::FEW_BYTES {
            return Self::Few(query);
        }
        Self::Many(parameters(query).map(decoded_name).collect())
    }

    fn has(&self, parameter: &str) -> bool {
        match self {
            Self::Few(query) => parameters(query)
                .any(|own| percent_decode_str(name(own)).eq(percent_decode_str(name(parameter)))),
            Self::Many(names) => names.contains(&decoded_name(parameter)),
        }
    }
}

fn decoded_name(parameter: &str) -> Cow<'_, [u8]> {
    percent_decode_str(name(parameter)).into()
}

#[cfg(test)]
mod tests {
    use super::QueryMode::{self, Append, Drop, Override};
    use std::borrow::Cow;

    use proptest::prelude::*;

    macro_rules! cases {
        ($($name:ident: $mode:ident $destination:literal + $visitor:literal => $location:literal;)+) => {
            $(#[test]
            fn $name() {
                assert_eq!($mode.apply($destination, $visitor), $location);
            })+
        };
    }

    cases! {
        append_adds_to_a_destination_without_query: Append "https://a.example.com/p" + "x=1" => "https://a.example.com/p?x=1";
        append_adds_after_the_destinations_own: Append "https://a.example.com/?d=1" + "x=1" => "https://a.example.com/?d=1&x=1";
        append_leaves_the_destinations_value: Append "https://a.example.com/?x=1" + "x=2&y=3" => "https://a.example.com/?x=1&y=3";
        append_with_nothing_new_changes_nothing: Append "https://a.example.com/?x=1" + "x=2" => "https://a.example.com/?x=1";
        append_keeps_the_visitors_order: Append "https://a.example.com/" + "z=1&a=2&m=3" => "https://a.example.com/?z=1&a=2&m=3";
        append_keeps_the_visitors_repetitions: Append "https://a.example.com/" + "x=1&x=2&x=1" => "https://a.example.com/?x=1&x=2&x=1";
        append_keeps_the_destinations_repetitions: Append "https://a.example.com/?d=1&d=2" + "x=1" => "https://a.example.com/?d=1&d=2&x=1";
        append_drops_every_repetition_of_a_taken_name: Append "https://a.example.com/?x=1" + "x=2&y=1&x=3" => "https://a.example.com/?x=1&y=1";
        append_compares_the_visitors_name_decoded: Append "https://a.example.com/?utm=1" + "%75tm=2" => "https://a.example.com/?utm=1";
        append_compares_the_destinations_name_decoded: Append "https://a.example.com/?%75tm=1" + "utm=2" => "https://a.example.com/?%75tm=1";
        append_compares_names_beyond_ascii: Append "https://a.example.com/?stra%C3%9Fe=1" + "straße=2" => "https://a.example.com/?stra%C3%9Fe=1";
        append_compares_hex_in_any_case: Append "https://a.example.com/?%c3%9f=1" + "%C3%9F=2" => "https://a.example.com/?%c3%9f=1";
        names_differ_by_case: Append "https://a.example.com/?x=1" + "X=2" => "https://a.example.com/?x=1&X=2";
        a_plus_in_a_name_is_a_plus: Append "https://a.example.com/?a%20b=1" + "a+b=2" => "https://a.example.com/?a%20b=1&a+b=2";
        an_encoded_plus_equals_a_plus: Append "https://a.example.com/?a+b=1" + "a%2Bb=2" => "https://a.example.com/?a+b=1";
        a_name_without_value_is_taken_too: Append "https://a.example.com/?x" + "x=2" => "https://a.example.com/?x";
        a_name_without_value_is_added: Append "https://a.example.com/" + "x&y=" => "https://a.example.com/?x&y=";
        an_encoded_equals_sign_is_part_of_the_name: Append "https://a.example.com/?a%3Db" + "a=b" => "https://a.example.com/?a%3Db&a=b";
        a_value_may_hold_an_equals_sign: Append "https://a.example.com/?t=1" + "x=a=b" => "https://a.example.com/?t=1&x=a=b";
        empty_names_are_names: Append "https://a.example.com/?=1" + "=2&x=3" => "https://a.example.com/?=1&x=3";
        an_empty_query_adds_nothing: Append "https://a.example.com/" + "" => "https://a.example.com/";
        a_query_of_separators_adds_nothing: Append "https://a.example.com/?x=1" + "&&&" => "https://a.example.com/?x=1";
        a_destination_with_an_empty_query_gets_one_question_mark: Append "https://a.example.com/?" + "x=1" => "https://a.example.com/?x=1";
        a_trailing_separator_is_not_doubled: Append "https://a.example.com/?d=1&" + "x=1" => "https://a.example.com/?d=1&x=1";
        append_keeps_the_fragment_last: Append "https://a.example.com/?d=1#top" + "x=1" => "https://a.example.com/?d=1&x=1#top";
        a_question_mark_in_the_fragment_is_not_a_query: Append "https://a.example.com/#/route?x=1" + "x=2" => "https://a.example.com/?x=2#/route?x=1";
        an_empty_fragment_stays: Append "https://a.example.com/#" + "x=1" => "https://a.example.com/?x=1#";
        override_replaces_the_destinations_value: Override "https://a.example.com/?x=1" + "x=2" => "https://a.example.com/?x=2";
        override_removes_every_repetition: Override "https://a.example.com/?x=1&d=2&x=3" + "x=4" => "https://a.example.com/?d=2&x=4";
        override_puts_the_visitors_last: Override "https://a.example.com/?x=1&d=2" + "x=3&y=4" => "https://a.example.com/?d=2&x=3&y=4";
        override_keeps_the_visitors_repetitions: Override "https://a.example.com/?x=1" + "x=2&x=3" => "https://a.example.com/?x=2&x=3";
        override_compares_names_decoded: Override "https://a.example.com/?%78=1" + "x=2" => "https://a.example.com/?x=2";
        override_with_an_empty_query_removes_nothing: Override "https://a.example.com/?x=1" + "" => "https://a.example.com/?x=1";
        override_with_separators_removes_nothing: Override "https://a.example.com/?x=1" + "&" => "https://a.example.com/?x=1";
        override_keeps_the_fragment_last: Override "https://a.example.com/?x=1#f" + "x=2" => "https://a.example.com/?x=2#f";
        drop_leaves_the_visitors_out: Drop "https://a.example.com/?d=1#f" + "x=1" => "https://a.example.com/?d=1#f";
        http_takes_a_query: Append "http://a.example.com/" + "x=1" => "http://a.example.com/?x=1";
        a_telephone_number_takes_no_query: Append "tel:+493012345" + "x=1" => "tel:+493012345";
        a_mail_takes_no_query: Override "mailto:a@example.com?subject=Hi" + "subject=Spam&bcc=b@example.com" => "mailto:a@example.com?subject=Hi";
        a_message_takes_no_query: Append "sms:+493012345?body=Hi" + "body=Spam" => "sms:+493012345?body=Hi";
        line_breaks_are_encoded: Append "https://a.example.com/" + "x=1\r\nSet-Cookie: a=b" => "https://a.example.com/?x=1%0D%0ASet-Cookie:%20a=b";
        control_characters_are_encoded: Append "https://a.example.com/" + "x=\0\t\x7f\u{85}" => "https://a.example.com/?x=%00%09%7F%C2%85";
        a_number_sign_does_not_begin_a_fragment: Append "https://a.example.com/#f" + "x=#evil" => "https://a.example.com/?x=%23evil#f";
        quotes_and_angle_brackets_are_encoded: Append "https://a.example.com/" + "x=\"<a>'" => "https://a.example.com/?x=%22%3Ca%3E%27";
        characters_beyond_ascii_are_encoded: Append "https://a.example.com/" + "x=ü" => "https://a.example.com/?x=%C3%BC";
        escapes_are_not_encoded_twice: Append "https://a.example.com/" + "x=%C3%BC%26%20" => "https://a.example.com/?x=%C3%BC%26%20";
        a_lone_per_cent_sign_stays: Append "https://a.example.com/" + "x=100%&y=%zz" => "https://a.example.com/?x=100%&y=%zz";
        a_second_question_mark_is_text: Append "https://a.example.com/" + "x=a?b" => "https://a.example.com/?x=a?b";
    }

    #[test]
    fn nothing_is_copied_when_nothing_is_added() {
        for (mode, visitor) in [(Drop, "a=1"), (Append, "x=2&%78=3"), (Override, "&")] {
            let location = mode.apply("https://a.example.com/?x=1", visitor);
            assert!(matches!(location, Cow::Borrowed(_)), "{mode:?} {visitor}");
        }
    }

    #[test]
    fn long_queries_are_joined_by_the_same_rules() {
        let own: Vec<String> = (0..100).map(|n| format!("n{n}=own")).collect();
        let theirs: Vec<String> = (50..150).map(|n| format!("%6E{n}=theirs")).collect();
        let destination = format!("https://a.example.com/?{}", own.join("&"));
        let visitor = theirs.join("&");

        let appended = [&own[..], &theirs[50..]].concat().join("&");
        let overridden = [&own[..50], &theirs[..]].concat().join("&");
        assert_eq!(
            Append.apply(&destination, &visitor),
            format!("https://a.example.com/?{appended}")
        );
        assert_eq!(
            Override.apply(&destination, &visitor),
            format!("https://a.example.com/?{overridden}")
        );
    }

    #[test]
    fn the_words_of_the_api_are_read_back() {
        for mode in [Drop, Append, Override] {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert!("Append".parse::<QueryMode>().is_err());
        assert_eq!(QueryMode::default(), Append);
    }

    proptest! {
        #[test]
        fn whatever_a_visitor_sends_the_location_is_a_normalised_url_of_the_same_place(
            visitor in prop_oneof!["\\PC*", any::<String>(), "([abx%=&#?]|%6[1-3]){0,90}"],
            own in "([abx=&?]|%6[1-3]){0,90}",
            fragment in prop_oneof![Just(String::new()), "#[a-z?&=]{0,9}"],
            mode in prop_oneof![Just(Append), Just(Override)],
        ) {
            let destination = format!("https://a.example.com/p?{own}{fragment}");
            let location = mode.apply(&destination, &visitor);
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(location.starts_with("https://a.example.com/p?"));
            prop_assert!(location.ends_with(&fragment));
            prop_assert_eq!(location.matches('#').count(), fragment.matches('#').count());
            let reparsed = url::Url::parse(&location).expect("a URL");
            prop_assert_eq!(reparsed.as_str(), &*location);
        }

        #[test]
        fn every_name_keeps_the_values_of_the_side_that_wins(
            own in "([abx=&]|%6[12]){0,200}",
            visitor in "([abx=&]|%6[12]){0,200}",
        ) {
            let values = |query: &str, name: &[u8]| -> Vec<String> {
                let of_name = |it: &&str| percent_encoding::percent_decode_str(it.split('=').next().unwrap_or_default()).eq(name.iter().copied());
                query.split('&').filter(|it| !it.is_empty()).filter(of_name).map(str::to_owned).collect()
            };
            let destination = format!("https://a.example.com/?{own}");
            for (mode, winner, other) in [(Append, &own, &visitor), (Override, &visitor, &own)] {
                let location = mode.apply(&destination, &visitor);
                let joined = location.strip_prefix("https://a.example.com/?").expect("the base stays");
                for name in own.split('&').chain(visitor.split('&')).filter(|it| !it.is_empty()) {
                    let name: Vec<u8> = percent_encoding::percent_decode_str(name.split('=').next().unwrap_or_default()).collect();
                    let won = values(winner, &name);
                    let expected = if won.is_empty() { values(other, &name) } else { won };
                    prop_assert_eq!(values(joined, &name), expected);
                }
            }
        }
    }
}
