//! Compiled rules, as a snapshot brings them, judged for a request that is as strange as they are: any bytes end in a decision. Rules that
//! are accepted are written again, through the journal's form too, and decide the same.

use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;
use tags::{
    Browser, Change, Device, Facts, Os, Rules, RulesView, Tag, TagView, Topic, decide, judge_rules,
};

use crate::connection::{domain, tag};
use crate::input::Input;

/// A request, as the input's beginning has it.
struct Request<'b> {
    query: &'b str,
    place: &'b str,
    languages: &'b [u8],
    user_agent: &'b [u8],
    bits: u8,
    address: [u8; 16],
    number: u64,
}

impl Facts for Request<'_> {
    fn query(&self) -> &str {
        self.query
    }

    fn country(&self) -> Option<&str> {
        self.place.get(..2)
    }

    fn region(&self) -> Option<&str> {
        (self.place.len() > 2).then_some(self.place)
    }

    fn device(&self) -> Option<Device> {
        Device::ALL.get(usize::from(self.bits & 7)).copied()
    }

    fn os(&self) -> Option<Os> {
        Os::ALL.get(usize::from(self.bits >> 3 & 7)).copied()
    }

    fn browser(&self) -> Option<Browser> {
        Browser::ALL.get(usize::from(self.bits & 15)).copied()
    }

    fn bot(&self) -> Option<bool> {
        (self.bits & 0x40 != 0).then_some(self.bits & 0x80 != 0)
    }

    fn languages(&self) -> impl Iterator<Item = &[u8]> {
        self.languages.split(|byte| *byte == b'\n')
    }

    fn address(&self) -> Option<IpAddr> {
        (self.address != [0; 16]).then_some(Ipv6Addr::from(self.address).into())
    }

    fn user_agent(&self) -> &[u8] {
        self.user_agent
    }

    fn scan_number(&self, _: &TagView<'_>) -> Option<u64> {
        (self.number != 0).then_some(self.number)
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
    let request = Request {
        query: text(input.short_bytes()),
        place: text(input.short_bytes()),
        languages: input.short_bytes(),
        user_agent: input.short_bytes(),
        bits: input.byte(),
        address: [input.long().to_le_bytes(), input.long().to_le_bytes()]
            .concat()
            .try_into()
            .expect("16 bytes"),
        number: input.long(),
    };
    let now = Timestamp::from_second((input.long() % 4_000_000_000) as i64).expect("in range");
    let tag = tag(&domain("a.example").name, "a");
    let view = TagView {
        rules: RulesView::new(input.0),
        is_counted: RulesView::new(input.0).ask_scan_number(),
        ..tag.view()
    };
    let judged = judge_rules(&view, &request, now);
    let decision = decide(&view, || None, &request, now);
    assert!(decision.location.is_some());
    let Some(rules) = Rules::from_compiled(input.0) else {
        return;
    };
    // Of rules that are none but damaged, fewer may be judged.
    assert_eq!(judged.len(), rules.list().len());
    let first = judged.iter().find(|judged| judged.failed.is_none());
    assert_eq!(decision.rule, first.map_or("", |first| first.name));
    let tag = Tag {
        rules,
        ..tag.clone()
    };
    let change = Change::Tag(tag.clone());
    let again =
        Change::decode(Topic::Tags, &change.key(), &change.encode()).expect("what we write");
    let Change::Tag(again) = again else {
        panic!("a tag is a tag");
    };
    assert_eq!(again.rules.view(), tag.rules.view());
    let again = again.view();
    assert_eq!(decide(&again, || None, &request, now), decision);
}
