//! Records of the journal: what is accepted is written and read as the same, and the table takes it.

use table::Table;
use tags::{Change, Topic, WireError};

use crate::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let topic = Topic::ALL[usize::from(input.byte()) % Topic::ALL.len()];
    let value = input.0;
    // The key is a part of what is written, so no record is accepted under that of another.
    let Err(WireError::Key { expected }) = Change::decode(topic, "", value) else {
        return;
    };
    let change = Change::decode(topic, &expected, value).expect("it is its key");
    assert_eq!((change.topic(), change.key()), (topic, expected));
    let again = Change::decode(topic, &change.key(), &change.encode());
    assert_eq!(again.as_ref().ok(), Some(&change));
    let table = Table::new();
    table.apply(change.clone());
    table.complete();
    if let Change::Tag(tag) = change {
        let state = table.load();
        let view = state.pin();
        assert!(view.tag(tag.domain.as_str(), tag.code.as_str()).is_some());
    }
}
