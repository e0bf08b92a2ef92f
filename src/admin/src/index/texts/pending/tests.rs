use std::sync::mpsc;

use super::*;

/// How many come together at a time when that is no surge.
const FEW: usize = 1;

fn add(pending: &Pending, texts: &[(i64, &str)]) {
    let texts = texts
        .iter()
        .map(|(place, text)| (*place, (*text).to_owned()));
    pending.add(texts, FEW);
}

/// Keeps what was added so far in blocks of their own.
fn held(pending: &Pending) -> Vec<Arc<Block>> {
    pending.lock().pending.iter().cloned().collect()
}

fn sought(text: &str, order: Order, behind: i64, most: usize) -> Sought<'_> {
    Sought {
        text,
        mark: "m",
        order,
        behind,
        most,
    }
}

#[test]
fn places_are_found_in_order_and_once_in_whichever_blocks_they_are() {
    let pending = Pending::default();
    add(&pending, &[(10, "mOne"), (30, "mone"), (20, "mtwo")]);
    let _first = held(&pending);
    add(&pending, &[(25, "mone"), (5, "m-ONE"), (30, "mone more")]);
    let _second = held(&pending);
    add(&pending, &[(40, "xone"), (1, "m"), (2, "one")]);
    assert_eq!(pending.lock().pending.len(), 3);
    let find = |order, behind, most| pending.find(&sought("one", order, behind, most));
    let all = [30, 25, 10, 5];
    assert_eq!(find(Order::NewestFirst, i64::MAX, 10), all);
    assert_eq!(find(Order::OldestFirst, i64::MIN, 10), [5, 10, 25, 30]);
    // Behind a place, which is not among them.
    assert_eq!(find(Order::NewestFirst, 25, 10), [10, 5]);
    assert_eq!(find(Order::OldestFirst, 10, 10), [25, 30]);
    // The nearest, however few are asked for, and whichever block is looked through first.
    for most in 1..=4 {
        assert_eq!(find(Order::NewestFirst, i64::MAX, most), all[..most]);
    }
    assert_eq!(find(Order::OldestFirst, i64::MIN, 2), [5, 10]);
    assert!(
        pending
            .find(&sought("three", Order::NewestFirst, i64::MAX, 9))
            .is_empty()
    );
}

#[test]
fn the_nearest_of_many_are_found_as_if_all_were_looked_at() {
    let pending = Pending::default();
    let mut all = Vec::new();
    let mut blocks = Vec::new();
    for block in 0..20_i64 {
        let texts: Vec<_> = (0..50_i64)
            .map(|number| ((block * 37 + number * 101) % 1_009, "m a text"))
            .collect();
        all.extend(texts.iter().map(|(place, _)| *place));
        add(&pending, &texts);
        blocks.extend(held(&pending));
    }
    all.sort_unstable();
    all.dedup();
    for (behind, most) in [
        (i64::MIN, 1),
        (i64::MIN, 60),
        (400, 7),
        (400, 300),
        (900, 1_000),
    ] {
        let found = pending.find(&sought("text", Order::OldestFirst, behind, most));
        let expected = all.iter().copied().filter(|place| *place > behind);
        assert_eq!(found, expected.take(most).collect::<Vec<_>>());
        let found = pending.find(&sought("text", Order::NewestFirst, !behind, most));
        let expected = all.iter().rev().copied().filter(|place| *place < !behind);
        assert_eq!(found, expected.take(most).collect::<Vec<_>>());
    }
}

#[test]
fn texts_come_out_as_they_came_and_what_is_too_much_waits() {
    let text = "m".repeat(1_000);
    let bounds = Bounds {
        patient_bytes: 3_000,
        most_bytes: 6_000,
        // They are not written because nothing comes.
        quiet: Duration::from_secs(3_600),
    };
    let pending = Arc::new(Pending::within(bounds));
    let (added, adds) = mpsc::channel();
    let adding = std::thread::spawn({
        let (pending, text) = (Arc::clone(&pending), text.clone());
        move || {
            for place in 0..20 {
                add(&pending, &[(place, &text)]);
                added.send(pending.lock().bytes).unwrap();
            }
        }
    });
    let mut written = Vec::new();
    while written.len() < 18 {
        let blocks = pending.oldest().expect("nobody has ended it");
        let texts = blocks.iter().flat_map(|block| block.texts());
        written.extend(texts.map(|(place, _)| place));
        pending.written(blocks.len());
    }
    adding.join().unwrap();
    let bytes: Vec<_> = adds.iter().collect();
    assert!(
        bytes.iter().all(|bytes| *bytes <= 6_000 + 1_016),
        "{bytes:?}"
    );
    assert_eq!(
        written,
        (0..i64::try_from(written.len()).unwrap()).collect::<Vec<_>>()
    );
    pending.end();
    assert!(pending.oldest().is_none());
    // Nobody writes any more: who adds does not wait for it.
    for place in 20..40 {
        add(&pending, &[(place, &text)]);
    }
}
