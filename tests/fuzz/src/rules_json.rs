//! Rules as a request gives them, in JSON: what is accepted is answered in a form that is read as the same, compiles, and can be warned of.

use jiff::Timestamp;
use tags::Rules;

pub(crate) fn run(bytes: &[u8]) {
    let Some((rules, shown)) = admin::fuzzing::read_rules(bytes) else {
        return;
    };
    let body = serde_json::json!({"rules": shown}).to_string();
    let (again, shown_again) = admin::fuzzing::read_rules(body.as_bytes()).expect("what we answer");
    assert_eq!((&again, &shown_again), (&rules, &shown));
    let compiled = Rules::from_compiled(rules.view().as_bytes()).expect("what we compile");
    assert_eq!(compiled.list().len(), rules.list().len());
    for warning in rules.warnings(None, None, Timestamp::UNIX_EPOCH) {
        assert!(
            shown.pointer(&warning.pointer).is_some(),
            "{}",
            warning.pointer
        );
    }
}
