//! What a request for a tag gets: one pure function that the edge and the simulator both call.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::rules::Tried;
use crate::{Facts, Judged, Status, Tag, TagView};

/// How a scan ended. Stored with it, and a label of the redirect metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// To the tag's destination, or that of one of its rules.
    Redirected,
    /// To a fallback, for whatever reason.
    Fallback,
    /// Nothing to lead to, for the tag is paused.
    Paused,
    /// … has not started.
    Scheduled,
    /// … has ended.
    Expired,
    /// … was revoked.
    Revoked,
    /// … has been scanned as often as it may be.
    Limited,
    /// There is no such tag.
    Unknown,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Redirected,
        Self::Fallback,
        Self::Paused,
        Self::Scheduled,
        Self::Expired,
        Self::Revoked,
        Self::Limited,
        Self::Unknown,
    ];

    /// The word in the API and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redirected => "redirected",
            Self::Fallback => "fallback",
            Self::Paused => "paused",
            Self::Scheduled => "scheduled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Limited => "limited",
            Self::Unknown => "unknown",
        }
    }

    /// The status code of an answer that has no fallback to lead to: 410 for what will not come back, 404 for the rest
    /// (RFC 9110 §15.5.5 and §15.5.11).
    fn status_without_fallback(self) -> u16 {
        match self {
            Self::Expired | Self::Revoked | Self::Limited => 410,
            _ => 404,
        }
    }
}

/// The answer to a scan, before it is put into a protocol's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// How the scan ended.
    pub outcome: Outcome,
    /// The status code.
    pub status: u16,
    /// Where it leads; none with 404 and 410.
    pub location: Option<Cow<'a, str>>,
    /// For how many seconds the client itself may keep the answer; none: not at all.
    pub max_age: Option<u32>,
    /// The name of the rule that decided; empty: none did.
    pub rule: &'a str,
    /// Which of that rule's destinations it is, from 0.
    pub destination_index: u32,
}

/// Decides what a request gets.
///
/// `workspace_fallback` says where the tag's workspace leads what has no fallback of its own, and is asked only then; a fallback is always
/// a 302, since what it stands for may come back. Of the facts, those are asked for that this tag depends on.
pub fn decide<'a>(
    tag: &TagView<'a>,
    workspace_fallback: impl FnOnce() -> Option<&'a str>,
    facts: &impl Facts,
    now: Timestamp,
) -> Decision<'a> {
    if let Some(reason) = closed(tag, now) {
        return Decision::without_tag(reason, tag.fallback_url.or_else(workspace_fallback));
    }
    let scan_number = scan_number(tag, facts);
    if is_beyond_limit(tag, scan_number) {
        let fallback = tag.fallback_url.or_else(workspace_fallback);
        return Decision::without_tag(Outcome::Limited, fallback);
    }
    let by_rule = match tag.rules.is_empty() {
        true => None,
        false => first_rule(tag, facts, scan_number, now),
    };
    let (rule, destination, destination_index) = by_rule.unwrap_or(("", tag.destination, 0));
    Decision {
        outcome: Outcome::Redirected,
        status: tag.redirect_status.code(),
        location: Some(tag.query.apply(destination, facts.query())),
        max_age: max_age(tag),
        rule,
        destination_index,
    }
}

/// The first of the tag's rules that holds: its name, where it leads, and which of its destinations that is.
#[inline(never)]
fn first_rule<'a>(
    tag: &TagView<'a>,
    facts: &impl Facts,
    scan_number: Option<u64>,
    now: Timestamp,
) -> Option<(&'a str, &'a str, u32)> {
    let mut rules = tag
        .rules
        .judge(tag.domain, tag.code, facts, scan_number, now)?;
    let first = rules.find(|rule| rule.failed.is_none())?;
    let (destination, index) = rules.target(&first)?;
    Some((first.name()?, destination, index))
}

/// What becomes of each of a tag's rules, in their order, also of those behind the first that holds: how [`decide()`] judges them.
pub fn judge_rules<'a>(tag: &TagView<'a>, facts: &impl Facts, now: Timestamp) -> Vec<Judged<'a>> {
    let number = scan_number(tag, facts);
    let judging = tag.rules.judge(tag.domain, tag.code, facts, number, now);
    let judged = judging.into_iter().flatten().map_while(Tried::judged);
    judged.collect()
}

impl<'a> Decision<'a> {
    /// The decision where no tag redirects: for a code that does not exist, `fallback` is its domain's.
    pub fn without_tag(reason: Outcome, fallback: Option<&'a str>) -> Self {
        match fallback {
            Some(url) => Self {
                outcome: Outcome::Fallback,
                status: 302,
                location: Some(Cow::Borrowed(url)),
                max_age: None,
                rule: "",
                destination_index: 0,
            },
            None => Self {
                outcome: reason,
                status: reason.status_without_fallback(),
                location: None,
                max_age: None,
                rule: "",
                destination_index: 0,
            },
        }
    }
}

/// Why the tag does not redirect now, if it does not. What is for ever comes first.
fn closed(tag: &TagView<'_>, now: Timestamp) -> Option<Outcome> {
    if tag.status == Status::Revoked {
        return Some(Outcome::Revoked);
    }
    if tag.expires_at.is_some_and(|end| now >= end) {
        return Some(Outcome::Expired);
    }
    if tag.status == Status::Paused {
        return Some(Outcome::Paused);
    }
    if tag.starts_at.is_some_and(|start| now < start) {
        return Some(Outcome::Scheduled);
    }
    None
}

/// Which scan of the tag this is, where anything depends on that. From here on nothing but the limit keeps the tag from redirecting, so
/// that whoever counts the scan counts a redirect.
fn scan_number(tag: &TagView<'_>, facts: &impl Facts) -> Option<u64> {
    match tag.is_counted {
        true => facts.scan_number(tag),
        false => None,
    }
}

/// A scan whose number is not known is not refused.
fn is_beyond_limit(tag: &TagView<'_>, scan_number: Option<u64>) -> bool {
    tag.max_scans
        .zip(scan_number)
        .is_some_and(|(most, number)| number > most.get())
}

fn max_age(tag: &TagView<'_>) -> Option<u32> {
    let unchanging = tag.redirect_status.is_permanent()
        && tag.starts_at.is_none()
        && tag.expires_at.is_none()
        && tag.max_scans.is_none()
        && tag.rules.is_empty();
    unchanging.then(|| tag.cache_max_age.unwrap_or(Tag::DEFAULT_CACHE_MAX_AGE))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::IpAddr;

    use super::*;
    use crate::{Browser, Device, MaxScans, Os, QueryMode, RedirectStatus, RulesView, Version};

    const START: &str = "2026-11-25T10:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a test's time")
    }

    /// A request's query and number; whoever asks for anything else has asked for too much.
    struct Request {
        query: &'static str,
        scan_number: Option<u64>,
        /// How often its number was asked for.
        asked: Cell<u32>,
    }

    impl Facts for Request {
        fn query(&self) -> &str {
            self.query
        }

        fn country(&self) -> Option<&str> {
            panic!("no tag here depends on the country");
        }

        fn region(&self) -> Option<&str> {
            panic!("no tag here depends on the region");
        }

        fn device(&self) -> Option<Device> {
            panic!("no tag here depends on the device");
        }

        fn os(&self) -> Option<Os> {
            panic!("no tag here depends on the operating system");
        }

        fn browser(&self) -> Option<Browser> {
            panic!("no tag here depends on the browser");
        }

        fn bot(&self) -> Option<bool> {
            panic!("no tag here depends on bots");
        }

        fn languages(&self) -> impl Iterator<Item = &[u8]> {
            std::iter::once_with(|| panic!("no tag here depends on the language"))
        }

        fn address(&self) -> Option<IpAddr> {
            panic!("no tag here depends on the address");
        }

        fn user_agent(&self) -> &[u8] {
            panic!("no tag here depends on the User-Agent");
        }

        fn scan_number(&self, _: &TagView<'_>) -> Option<u64> {
            self.asked.set(self.asked.get() + 1);
            self.scan_number
        }
    }

    fn query(query: &'static str) -> Request {
        Request {
            query,
            scan_number: None,
            asked: Cell::new(0),
        }
    }

    fn plain() -> Request {
        query("")
    }

    fn active() -> TagView<'static> {
        TagView {
            domain: "qr.example.com",
            code: "a",
            workspace: "default",
            version: Version::FIRST,
            status: Status::Active,
            destination: "https://example.com/a",
            rules: RulesView::NONE,
            redirect_status: RedirectStatus::Found,
            cache_max_age: None,
            starts_at: None,
            expires_at: None,
            max_scans: None,
            is_counted: false,
            fallback_url: None,
            query: QueryMode::Append,
            campaign: "",
        }
    }

    #[test]
    fn an_active_tag_redirects_with_its_own_status() {
        for (status, code) in [
            (RedirectStatus::Found, 302),
            (RedirectStatus::SeeOther, 303),
            (RedirectStatus::TemporaryRedirect, 307),
        ] {
            let tag = TagView {
                redirect_status: status,
                ..active()
            };
            let request = plain();
            let decision = decide(&tag, || None, &request, at(START));
            assert_eq!(
                (decision.outcome, decision.status, decision.max_age),
                (Outcome::Redirected, code, None)
            );
            assert_eq!(request.asked.get(), 0, "nobody counts its scans");
            assert_eq!(decision.location.as_deref(), Some("https://example.com/a"));
        }
    }

    #[test]
    fn the_visitors_query_goes_along_as_the_tag_says() {
        let decision = decide(&active(), || None, &query("b=2"), at(START));
        assert_eq!(
            decision.location.as_deref(),
            Some("https://example.com/a?b=2")
        );
        let drop = TagView {
            query: QueryMode::Drop,
            ..active()
        };
        assert_eq!(
            decide(&drop, || None, &query("b=2"), at(START))
                .location
                .as_deref(),
            Some("https://example.com/a")
        );
    }

    #[test]
    fn a_start_is_inside_and_an_end_outside() {
        let tag = TagView {
            starts_at: Some(at(START)),
            expires_at: Some(at("2026-11-25T11:00:00Z")),
            ..active()
        };
        for (now, outcome, status) in [
            ("2026-11-25T09:59:59.999999Z", Outcome::Scheduled, 404),
            (START, Outcome::Redirected, 302),
            ("2026-11-25T10:59:59.999999Z", Outcome::Redirected, 302),
            ("2026-11-25T11:00:00Z", Outcome::Expired, 410),
        ] {
            let decision = decide(&tag, || None, &plain(), at(now));
            assert_eq!(
                (decision.outcome, decision.status),
                (outcome, status),
                "{now}"
            );
        }
    }

    #[test]
    fn what_ended_for_good_is_gone_and_what_may_come_back_is_not_found() {
        for (status, outcome, code) in [
            (Status::Paused, Outcome::Paused, 404),
            (Status::Revoked, Outcome::Revoked, 410),
        ] {
            let decision = decide(
                &TagView { status, ..active() },
                || None,
                &plain(),
                at(START),
            );
            assert_eq!(
                (decision.outcome, decision.status, decision.location),
                (outcome, code, None)
            );
        }
        let both = TagView {
            status: Status::Paused,
            expires_at: Some(at(START)),
            ..active()
        };
        assert_eq!(
            decide(&both, || None, &plain(), at(START)).outcome,
            Outcome::Expired
        );
    }

    #[test]
    fn a_fallback_is_the_tags_then_the_workspaces_and_always_302() {
        let paused = TagView {
            status: Status::Paused,
            redirect_status: RedirectStatus::SeeOther,
            ..active()
        };
        let own = TagView {
            fallback_url: Some("https://example.com/own"),
            ..paused
        };
        for (tag, location) in [
            (own, "https://example.com/own"),
            (paused, "https://example.com/workspace"),
        ] {
            let decision = decide(
                &tag,
                || Some("https://example.com/workspace"),
                &query("q=1"),
                at(START),
            );
            assert_eq!(
                (decision.outcome, decision.status),
                (Outcome::Fallback, 302)
            );
            assert_eq!(decision.location.as_deref(), Some(location));
        }
    }

    #[test]
    fn a_permanent_redirect_may_be_kept_only_by_a_tag_that_cannot_change_by_itself() {
        let permanent = TagView {
            redirect_status: RedirectStatus::PermanentRedirect,
            ..active()
        };
        assert_eq!(
            decide(&permanent, || None, &plain(), at(START)).max_age,
            Some(3600)
        );
        let short = TagView {
            cache_max_age: Some(60),
            ..permanent
        };
        assert_eq!(
            decide(&short, || None, &plain(), at(START)).max_age,
            Some(60)
        );
        let ending = TagView {
            expires_at: Some(at("2027-01-01T00:00:00Z")),
            ..permanent
        };
        assert_eq!(decide(&ending, || None, &plain(), at(START)).max_age, None);
        let (limited, facts) = counted(10, Some(1));
        let limited = TagView {
            redirect_status: RedirectStatus::PermanentRedirect,
            ..limited
        };
        assert_eq!(decide(&limited, || None, &facts, at(START)).max_age, None);
    }

    /// A tag that may redirect so often, of which this is such a scan.
    fn counted(max_scans: u64, scan_number: Option<u64>) -> (TagView<'static>, Request) {
        let tag = TagView {
            max_scans: MaxScans::new(max_scans).ok(),
            is_counted: true,
            ..active()
        };
        let request = Request {
            scan_number,
            ..plain()
        };
        (tag, request)
    }

    #[test]
    fn a_limit_holds_for_what_comes_behind_it_and_not_where_nobody_counts() {
        for (number, outcome, status) in [
            (Some(1), Outcome::Redirected, 302),
            (Some(10), Outcome::Redirected, 302),
            (Some(11), Outcome::Limited, 410),
            (None, Outcome::Redirected, 302),
        ] {
            let (tag, facts) = counted(10, number);
            let decision = decide(&tag, || None, &facts, at(START));
            assert_eq!(
                (decision.outcome, decision.status),
                (outcome, status),
                "{number:?}"
            );
            assert_eq!(facts.asked.get(), 1, "each takes one number");
        }
        let (tag, facts) = counted(10, Some(11));
        let decision = decide(&tag, || Some("https://example.com/w"), &facts, at(START));
        assert_eq!(
            (decision.outcome, decision.location.as_deref()),
            (Outcome::Fallback, Some("https://example.com/w"))
        );
    }

    #[test]
    fn what_does_not_redirect_for_another_reason_takes_no_number() {
        let (tag, facts) = counted(10, Some(1));
        for status in [Status::Paused, Status::Revoked] {
            decide(&TagView { status, ..tag }, || None, &facts, at(START));
        }
        let ended = TagView {
            expires_at: Some(at(START)),
            ..tag
        };
        assert_eq!(
            decide(&ended, || None, &facts, at(START)).outcome,
            Outcome::Expired
        );
        assert_eq!(facts.asked.get(), 0);
    }

    #[test]
    fn an_unknown_code_leads_to_the_domains_fallback_or_nowhere() {
        let nowhere = Decision::without_tag(Outcome::Unknown, None);
        assert_eq!((nowhere.outcome, nowhere.status), (Outcome::Unknown, 404));
        let fallback = Decision::without_tag(Outcome::Unknown, Some("https://example.com/"));
        assert_eq!(
            (fallback.outcome, fallback.status),
            (Outcome::Fallback, 302)
        );
    }
}
