//! A decision by rules allocates nothing, whatever the rules ask.

use allocation_counter::measure;
use tags::{QueryMode, TagView, decide};

use crate::made::{Chance, moment, request, tag};

#[test]
fn a_decision_by_rules_allocates_nothing() {
    let mut chance = Chance(5);
    let mut by_rules = 0;
    for _ in 0..5_000 {
        let tag = tag(&mut chance);
        let (mut facts, now) = (request(&mut chance), moment(&mut chance));
        let parameters: Vec<_> = facts.query.split('&').take(32).collect();
        facts.query = parameters.join("&"); // of more a sorted list is made
        // What a query is added to is a new text; that is not the rules' doing.
        let view = TagView {
            query: QueryMode::Drop,
            ..tag.view()
        };
        let mut decided = false;
        let asked = measure(|| decided = !decide(&view, || None, &facts, now).rule.is_empty());
        assert_eq!(asked.count_total, 0, "{:?} for {facts:?}", tag.rules.list());
        by_rules += usize::from(decided);
    }
    assert!(by_rules > 500, "{by_rules}");
    let asked = measure(|| drop(std::hint::black_box(vec![1_u8])));
    assert_eq!(asked.count_total, 1, "what is allocated is counted");
}
