use std::time::{Duration, Instant};

use ::tags::{Change, Code, Destination, Domain, Status, Version};
use jiff::Timestamp;

use super::*;
use crate::index::lead::MOST_LOOKED_AT;
use crate::index::{Index, TagFilter};

const TAGS: u32 = 3_000;

fn tag(number: u32, version: u64, name: &str) -> Tag {
    let made_at = Timestamp::from_second(i64::from(number)).unwrap();
    let mut tag = Tag::new(
        WorkspaceId::default_workspace(),
        Domain::parse("qr.example.com").unwrap(),
        Code::parse(&format!("t{number}")).unwrap(),
        Destination::parse("https://example.com/").unwrap(),
        made_at,
    );
    tag.version = Version::new(version).unwrap();
    name.clone_into(&mut tag.name);
    tag
}

/// The codes of tags in whose texts this is.
fn found(index: &Index, text: &str) -> Vec<String> {
    let filter = TagFilter {
        text: Some(text.to_owned()),
        ..TagFilter::default()
    };
    let workspace = WorkspaceId::default_workspace();
    let page = index.tags(&workspace, &filter, None, 100).unwrap();
    page.items.iter().map(|tag| tag.code.to_string()).collect()
}

/// The same, of all pages of a few.
fn found_page_by_page(index: &Index, text: &str) -> Vec<String> {
    let filter = TagFilter {
        text: Some(text.to_owned()),
        ..TagFilter::default()
    };
    let workspace = WorkspaceId::default_workspace();
    let (mut codes, mut cursor) = (Vec::new(), None);
    loop {
        let page = index.tags(&workspace, &filter, cursor, 7).unwrap();
        codes.extend(page.items.iter().map(|tag| tag.code.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            return codes;
        }
    }
}

fn pending(index: &Index) -> usize {
    index.texts.pending.count()
}

fn until_written(index: &Index) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while pending(index) > 0 {
        assert!(Instant::now() < deadline, "texts are not written");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn texts_are_found_while_they_are_pending_and_when_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
    let many: Vec<_> = (0..TAGS)
        .map(|number| Change::Tag(tag(number, 1, &format!("poster {number} in Wien"))))
        .collect();
    // The thread does not get to it.
    let held = lock(&index.texts.writer);
    index.apply(&many).unwrap();
    assert_eq!(pending(&index), TAGS as usize);
    assert_eq!(found(&index, "POSTER 2999 in"), ["t2999"]);
    let last: Vec<_> = (0..100)
        .map(|back| format!("t{}", TAGS - 1 - back))
        .collect();
    assert_eq!(found(&index, "in Wien"), last);
    assert_eq!(found_page_by_page(&index, "poster 29"), {
        let of_29 = (0..TAGS).rev().map(|number| number.to_string());
        let of_29 = of_29.filter(|number| number.starts_with("29"));
        of_29.map(|number| format!("t{number}")).collect::<Vec<_>>()
    });
    // One whose text is pending changes, and one that is new comes.
    let changed = [
        Change::Tag(tag(7, 2, "changed")),
        Change::Tag(tag(TAGS, 1, "a new one")),
    ];
    index.apply(&changed).unwrap();
    assert_eq!(found(&index, "poster 7 in"), Vec::<String>::new());
    assert_eq!(found(&index, "changed"), ["t7"]);
    assert_eq!(found(&index, "a new"), ["t3000"]);
    drop(held);
    until_written(&index);
    assert_eq!(found(&index, "poster 2999 in"), ["t2999"]);
    assert_eq!(found(&index, "changed"), ["t7"]);
    // A few are written as well.
    let changed = [Change::Tag(tag(7, 3, "changed again"))];
    index.apply(&changed).unwrap();
    until_written(&index);
    assert_eq!(found(&index, "again"), ["t7"]);
    // A search finds in order, and each tag once, whichever of both it is in.
    let held = lock(&index.texts.writer);
    let half: Vec<_> = (0..TAGS)
        .step_by(2)
        .map(|number| Change::Tag(tag(number, 4, &format!("poster {number} in Graz"))))
        .collect();
    index.apply(&half).unwrap();
    let newest: Vec<_> = (0..100)
        .map(|back| format!("t{}", TAGS - 1 - back))
        .collect();
    assert_eq!(found(&index, "poster"), newest);
    drop(held);
}

#[test]
fn of_more_pending_tags_than_a_page_looks_at_the_next_page_has_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
    let count = MOST_LOOKED_AT + 50;
    let many: Vec<_> = (0..count)
        .map(|number| Change::Tag(tag(number as u32, 1, "poster")))
        .collect();
    let _held = lock(&index.texts.writer);
    index.apply(&many).unwrap();
    let filter = TagFilter {
        text: Some("poster".to_owned()),
        ..TagFilter::default()
    };
    let workspace = WorkspaceId::default_workspace();
    let page = |cursor| index.tags(&workspace, &filter, cursor, 2 * count).unwrap();
    let first = page(None);
    assert_eq!(first.items.len(), MOST_LOOKED_AT);
    let second = page(first.next);
    assert_eq!((second.items.len(), second.next), (50, None));
}

#[test]
fn an_older_text_does_not_come_behind_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
    for round in 1..=20_u64 {
        let name = format!("round {round:02}");
        let many: Vec<_> = (0..400)
            .map(|number| Change::Tag(tag(number, 2 * round, &name)))
            .collect();
        index.apply(&many).unwrap();
        // In the middle of the thread's work.
        let one = Change::Tag(tag(5, 2 * round + 1, &format!("alone {round:02}")));
        index.apply(&[one]).unwrap();
        assert_eq!(found(&index, &format!("alone {round:02}")), ["t5"]);
    }
    until_written(&index);
    assert_eq!(found(&index, "alone"), ["t5"]);
    assert_eq!(found(&index, "alone 20"), ["t5"]);
    assert_eq!(found(&index, "round 19"), Vec::<String>::new());
}

#[test]
fn tags_that_are_not_revoked_are_counted_however_often_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
    let revoked = Tag {
        status: Status::Revoked,
        ..tag(1, 3, "")
    };
    let changes = [
        tag(0, 1, ""),
        tag(1, 1, ""),
        tag(1, 2, "n"),
        revoked,
        tag(0, 2, ""),
        tag(0, 1, ""),
    ];
    index.apply(&changes.clone().map(Change::Tag)).unwrap();
    let live = || index.live_tags(&WorkspaceId::default_workspace()).unwrap();
    assert_eq!(live(), 1);
    index.apply(&changes.map(Change::Tag)).unwrap();
    assert_eq!(live(), 1);
}
