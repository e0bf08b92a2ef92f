//! What compiled rules say of requests, against the plain evaluation of the same.

use tags::{
    Condition, Destination, Rule, Rules, RulesView, TagView, Targets, When, decide, judge_rules,
};

use crate::made::{Chance, moment, request, tag};
use crate::reference::evaluate;

/// So many random requests are judged in every run; with `--ignored`, a million.
const CASES: usize = 100_000;
/// Making rules costs more than judging by them.
const REQUESTS_EACH: usize = 20;

fn compare(seed: u64, cases: usize) {
    let mut chance = Chance(seed);
    let mut held = 0;
    let mut failed = vec![0; Condition::ALL.len()];
    for case in 0..cases / REQUESTS_EACH {
        let tag = tag(&mut chance);
        for _ in 0..REQUESTS_EACH {
            let (facts, now) = (request(&mut chance), moment(&mut chance));
            let (judged, target) = evaluate(&tag, &facts, now);
            let about = || {
                format!(
                    "seed {seed}, case {case}: {:?} for {facts:?} at {now}",
                    tag.rules.list()
                )
            };
            let compiled: Vec<_> = judge_rules(&tag.view(), &facts, now)
                .iter()
                .map(|it| (it.name.to_owned(), it.failed))
                .collect();
            assert_eq!(compiled, judged, "{}", about());
            let decision = decide(&tag.view(), || None, &facts, now);
            let (rule, url, index) =
                target.unwrap_or_else(|| (String::new(), tag.destination.to_string(), 0));
            let location = tag.query.apply(&url, &facts.query);
            assert_eq!(
                (decision.rule, decision.destination_index),
                (rule.as_str(), index),
                "{}",
                about()
            );
            assert_eq!(
                decision.location.as_deref(),
                Some(&*location),
                "{}",
                about()
            );
            held += usize::from(!rule.is_empty());
            judged
                .iter()
                .filter_map(|(_, failed)| *failed)
                .for_each(|it| failed[it as usize] += 1);
        }
    }
    // The cases are worth something: rules hold and fail, each condition many times.
    assert!(held > cases / 10 && held < cases, "{held} of {cases}");
    assert!(
        failed.iter().all(|count| *count > cases / 200),
        "{failed:?}"
    );
}

#[test]
fn compiled_rules_judge_as_the_plain_ones_do() {
    compare(1, CASES);
}

#[test]
#[ignore = "ten times as long as all others here: cargo test -p tags --test rules -- --ignored"]
fn compiled_rules_judge_a_million_requests_as_the_plain_ones_do() {
    compare(2, 1_000_000);
}

#[test]
fn compiled_rules_are_read_back_and_nothing_else_is() {
    let mut chance = Chance(3);
    for _ in 0..2_000 {
        let rules = tag(&mut chance).rules;
        let bytes = rules.view().as_bytes().to_vec();
        let back = Rules::from_compiled(&bytes).expect("rules");
        assert_eq!(back.view(), rules.view());
        for cut in [1, bytes.len() / 2, bytes.len() - 1] {
            // Between two rules, it is fewer.
            assert_ne!(
                Rules::from_compiled(&bytes[..cut]).as_ref(),
                Some(&rules),
                "cut at {cut}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Rules::from_compiled(&longer), None);
    }
}

#[test]
fn damaged_rules_are_judged_without_a_panic() {
    let mut chance = Chance(4);
    for _ in 0..5_000 {
        let tag = tag(&mut chance);
        let mut bytes = tag.rules.view().as_bytes().to_vec();
        for _ in 0..3 {
            let (at, flip) = (
                chance.number() as usize % bytes.len(),
                chance.number() as u8,
            );
            bytes[at] ^= flip;
        }
        let (facts, now) = (request(&mut chance), moment(&mut chance));
        let view = TagView {
            rules: RulesView::new(&bytes),
            ..tag.view()
        };
        judge_rules(&view, &facts, now);
        assert!(decide(&view, || None, &facts, now).location.is_some());
    }
}

#[test]
fn rules_of_too_many_bytes_are_refused() {
    let value = |number: usize| format!("{number:0>200}");
    let rules = |last: usize| {
        let url = Destination::parse("https://example.com/").unwrap();
        let rule = |number: usize| Rule {
            name: format!("rule {number}"),
            when: When {
                query: vec![("q".to_owned(), Some((0..16).map(value).collect()))],
                ..When::default()
            },
            to: Targets::One(url.clone()),
        };
        Rules::new((0..last).map(rule).collect())
    };
    let fits = rules(29).unwrap();
    assert_eq!(
        Rules::from_compiled(fits.view().as_bytes()),
        Some(fits.clone())
    );
    let errors = rules(31).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].pointer, "");
    assert!(errors[0].detail.contains("at most 98304"), "{errors:?}");
}
