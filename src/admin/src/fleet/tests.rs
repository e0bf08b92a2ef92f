//! Which edges are live, and who is waited for, on a clock that the tests move.

use journal::{EdgeState, Positions, RefusedRecord};
use tags::Topic;

use super::*;
use crate::service::{Commit, Records};

const SECOND: Duration = Duration::from_secs(1);

fn run(edge: &str) -> EdgeRun {
    EdgeRun::new(edge, 1).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn positions(next_offset: i64) -> Positions {
    Positions::from_iter([(Topic::Tags, 0, next_offset)])
}

fn heartbeat(edge: &str, written_at: Timestamp, next_offset: i64) -> EdgesEvent {
    let heartbeat = Heartbeat {
        run: run(edge),
        state: EdgeState::Serving,
        positions: positions(next_offset),
        newest: Some(written_at),
        refused: Vec::new(),
        tags: 1,
        version: "1".to_owned(),
        addresses: Vec::new(),
        started_at: written_at,
        sent_at: written_at,
    };
    EdgesEvent::Heartbeat {
        heartbeat: Box::new(heartbeat),
        written_at,
    }
}

fn commit(next_offset: i64, at: Instant) -> Commit {
    Commit {
        positions: positions(next_offset),
        not_before: None,
        records: Records::Written(vec![Topic::Tags]),
        at,
    }
}

fn live(fleet: &Fleet, now: Instant) -> Vec<String> {
    let (page, _) = fleet.page(None, usize::MAX, |seen| seen.is_live(now));
    page.iter()
        .map(|seen| seen.heartbeat.run.edge().to_owned())
        .collect()
}

#[test]
fn what_was_said_before_is_dated_by_the_newest_of_it_and_by_no_clock() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    // The broker's clock is years off.
    fleet.take(heartbeat("long-dead", at(-86_000), 0), now);
    fleet.take(heartbeat("dead", at(-10), 0), now);
    fleet.take(heartbeat("silent-for-9-s", at(-9), 0), now);
    fleet.take(heartbeat("live", at(0), 0), now);
    fleet.take(EdgesEvent::CaughtUp, now);
    assert_eq!(live(&fleet, now), ["live", "silent-for-9-s"]);
    assert_eq!(live(&fleet, now + SECOND), ["live"]);
    assert!(live(&fleet, now + LIVE_FOR).is_empty());
}

#[test]
fn what_is_heard_as_it_comes_is_new_whatever_the_clocks_say() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.take(heartbeat("two-hours-ahead", at(7_200), 0), now);
    fleet.take(heartbeat("two-hours-behind", at(-7_200), 0), now);
    assert_eq!(live(&fleet, now), ["two-hours-ahead", "two-hours-behind"]);
    for (second, later) in [(-7_196, 4), (-7_192, 8)] {
        fleet.take(
            heartbeat("two-hours-behind", at(second), 0),
            now + later * SECOND,
        );
    }
    fleet.take(heartbeat("two-hours-behind", at(-7_190), 0), now + LIVE_FOR);
    assert_eq!(live(&fleet, now + LIVE_FOR), ["two-hours-behind"]);
}

#[test]
fn a_farewell_ends_an_edge_at_once() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.take(heartbeat("a", at(0), 0), now);
    fleet.take(EdgesEvent::Farewell(run("a")), now);
    fleet.take(EdgesEvent::Farewell(run("never-heard-of")), now);
    assert!(live(&fleet, now).is_empty());
}

#[test]
fn a_listener_that_begins_again_dates_everything_again() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(heartbeat("a", at(100), 0), now);
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.begin();
    let later = now + 5 * SECOND;
    for event in [heartbeat("a", at(100), 0), heartbeat("b", at(105), 0)] {
        fleet.take(event, later);
    }
    fleet.take(EdgesEvent::CaughtUp, later);
    assert_eq!(live(&fleet, later + 5 * SECOND), ["b"]);
}

#[test]
fn of_more_edges_than_can_be_remembered_those_that_spoke_last_are() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    for number in 0..REMEMBERED + 2 * SLACK {
        let second = i64::try_from(number).unwrap();
        fleet.take(heartbeat(&format!("e{number:06}"), at(second), 0), now);
    }
    let known = fleet.known();
    assert!(known.edges.len() <= REMEMBERED + SLACK);
    assert!(!known.edges.contains_key(&run("e000000")));
    let last = format!("e{:06}", REMEMBERED + 2 * SLACK - 1);
    assert!(known.edges.contains_key(&run(&last)));
}

#[test]
fn who_has_been_silent_for_a_day_is_forgotten() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.take(heartbeat("a", at(0), 0), now);
    fleet.forget(now + LIVE_FOR);
    assert_eq!(fleet.known().edges.len(), 1);
    fleet.forget(now + REMEMBERED_FOR);
    assert!(fleet.known().edges.is_empty());
}

#[test]
fn pages_follow_one_another_without_a_gap() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    for edge in ["c", "a", "e", "b", "d"] {
        fleet.take(heartbeat(edge, at(0), 0), now);
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let (page, more) = fleet.page(after.as_ref(), 2, |_| true);
        seen.extend(page.iter().map(|seen| seen.heartbeat.run.edge().to_owned()));
        after = page.last().map(|seen| seen.heartbeat.run.clone());
        if !more {
            break;
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn an_edit_waits_for_every_live_edge_and_says_how_long_the_slowest_took() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.take(heartbeat("a", at(0), 5), now + Duration::from_millis(3));
    fleet.take(heartbeat("b", at(0), 4), now);
    let waiting = commit(5, now);
    let propagation = tokio::join!(fleet.wait_for(&waiting, 60 * SECOND), async {
        fleet.take(heartbeat("b", at(0), 6), now + Duration::from_millis(7));
    })
    .0;
    assert_eq!(
        propagation,
        Propagation {
            edges: Some(2),
            applied: 2,
            slowest: Some(Duration::from_millis(7)),
            waiting: Vec::new(),
            refused: Vec::new(),
            unknown: None,
        }
    );
}

#[tokio::test]
async fn who_has_not_applied_it_when_the_time_is_over_is_named() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    for (edge, next_offset) in [("behind", 4), ("there", 5), ("also-behind", 0)] {
        fleet.take(heartbeat(edge, at(0), next_offset), now);
    }
    let propagation = fleet.wait_for(&commit(5, now), Duration::ZERO).await;
    assert_eq!((propagation.edges, propagation.applied), (Some(3), 1));
    assert_eq!(propagation.waiting, ["also-behind", "behind"]);
}

#[tokio::test]
async fn who_stands_further_in_the_log_before_has_not_applied_what_is_in_this_one() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    // It has not noticed yet that the topics were made anew.
    fleet.take(heartbeat("old", at(-1), 5_000), now);
    fleet.take(heartbeat("new", at(0), 5), now);
    let edit = Commit {
        not_before: Some(at(0)),
        ..commit(5, now)
    };
    let propagation = fleet.wait_for(&edit, Duration::ZERO).await;
    assert_eq!(propagation.waiting, ["old"]);
    fleet.take(heartbeat("old", at(0), 5), now);
    let propagation = fleet.wait_for(&edit, Duration::ZERO).await;
    assert_eq!(propagation.applied, 2);
    // An edit of what no edge follows is applied by all.
    let of_accounts = Commit {
        positions: Positions::default(),
        not_before: Some(at(1)),
        records: Records::Written(vec![Topic::Accounts]),
        at: now,
    };
    let propagation = fleet.wait_for(&of_accounts, Duration::ZERO).await;
    assert_eq!(propagation.applied, 2);
}

#[tokio::test]
async fn nobody_waits_for_an_edge_that_ends_or_falls_silent_or_does_not_serve_yet() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.take(heartbeat("ending", at(0), 0), now);
    fleet.take(heartbeat("there", at(0), 5), now);
    let EdgesEvent::Heartbeat {
        heartbeat: mut starting,
        written_at,
    } = heartbeat("starting", at(0), 0)
    else {
        panic!("it is one")
    };
    starting.state = EdgeState::Starting;
    fleet.take(
        EdgesEvent::Heartbeat {
            heartbeat: starting,
            written_at,
        },
        now,
    );
    // Silent for nearly as long as it may be: it stops being live while the edit waits.
    let nearly = LIVE_FOR - Duration::from_millis(20);
    fleet.take(
        heartbeat("silent", at(0), 0),
        now.checked_sub(nearly).unwrap(),
    );
    let waiting = commit(5, now);
    let propagation = tokio::join!(fleet.wait_for(&waiting, 600 * SECOND), async {
        fleet.take(EdgesEvent::Farewell(run("ending")), now);
    })
    .0;
    assert_eq!((propagation.edges, propagation.applied), (Some(1), 1));
}

#[tokio::test]
async fn an_edge_that_comes_meanwhile_is_waited_for_too() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.take(heartbeat("a", at(0), 0), now);
    let waiting = commit(5, now);
    let propagation = tokio::join!(fleet.wait_for(&waiting, 60 * SECOND), async {
        fleet.take(heartbeat("new", at(0), 0), now);
        tokio::task::yield_now().await;
        fleet.take(heartbeat("a", at(0), 5), now);
        tokio::task::yield_now().await;
        fleet.take(heartbeat("new", at(0), 5), now);
    })
    .0;
    assert_eq!((propagation.edges, propagation.applied), (Some(2), 2));
}

#[tokio::test]
async fn that_it_is_not_known_which_edges_are_live_is_said_with_its_reason() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    let before = fleet.wait_for(&commit(5, now), Duration::ZERO).await;
    assert_eq!(before.edges, None);
    assert!(before.unknown.unwrap().contains("not yet heard"));
    fleet.take(EdgesEvent::CaughtUp, now);
    let reason = "no broker".to_owned();
    fleet.take(EdgesEvent::Disconnected { reason }, now);
    let away = fleet.wait_for(&commit(5, now), Duration::ZERO).await;
    assert!(away.unknown.unwrap().contains("no broker"));
    fleet.take(EdgesEvent::Connected, now);
    let back = fleet.wait_for(&commit(5, now), Duration::ZERO).await;
    assert_eq!((back.edges, back.applied), (Some(0), 0));
}

#[tokio::test]
async fn when_all_edges_fall_silent_at_once_it_is_not_known_what_they_serve() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    let long_ago = now.checked_sub(2 * LIVE_FOR).unwrap();
    for edge in ["a", "b"] {
        fleet.take(heartbeat(edge, at(0), 4), long_ago);
    }
    let edit = commit(5, now);
    let propagation = fleet.wait_for(&edit, Duration::ZERO).await;
    assert_eq!(propagation.edges, None);
    let unknown = propagation.unknown.unwrap();
    assert!(
        unknown.contains("no edge has been heard for 2"),
        "{unknown}"
    );
    assert!(fleet.is_deaf(now));

    // The first that is heard again: the other is waited for too.
    fleet.take(heartbeat("a", at(20), 5), now);
    let propagation = fleet.wait_for(&edit, Duration::ZERO).await;
    assert_eq!((propagation.edges, propagation.applied), (Some(2), 1));
    assert_eq!(propagation.waiting, ["b"]);
    assert!(!fleet.is_deaf(now));
}

#[tokio::test]
async fn an_edge_that_is_dead_while_another_speaks_is_no_fault_of_hearing() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    let begin = now.checked_sub(12 * SECOND).unwrap();
    fleet.take(heartbeat("dead", at(0), 0), begin);
    for second in (0..=12).step_by(2) {
        let later = begin + u32::try_from(second).unwrap() * SECOND;
        fleet.take(heartbeat("a", at(second), 5), later);
    }
    let propagation = fleet.wait_for(&commit(5, now), Duration::ZERO).await;
    assert_eq!((propagation.edges, propagation.applied), (Some(1), 1));
}

#[tokio::test]
async fn after_the_last_farewell_it_is_known_that_nobody_serves() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    let long_ago = now.checked_sub(2 * LIVE_FOR).unwrap();
    fleet.take(heartbeat("a", at(0), 0), long_ago);
    fleet.take(EdgesEvent::Farewell(run("a")), long_ago);
    let propagation = fleet.wait_for(&commit(5, now), Duration::ZERO).await;
    assert_eq!((propagation.edges, propagation.unknown), (Some(0), None));
}

/// A heartbeat of an edge that has refused these records of partition 0 of the tags.
fn refusing(edge: &str, next_offset: i64, refused: &[i64]) -> EdgesEvent {
    let EdgesEvent::Heartbeat {
        mut heartbeat,
        written_at,
    } = heartbeat(edge, at(0), next_offset)
    else {
        panic!("it is one")
    };
    let record = |&offset| RefusedRecord::new(Topic::Tags, 0, offset, "format 2, this reads 1");
    heartbeat.refused = refused.iter().map(record).collect();
    EdgesEvent::Heartbeat {
        heartbeat,
        written_at,
    }
}

#[tokio::test]
async fn an_edge_that_has_refused_an_edit_has_not_applied_it_and_is_not_waited_for() {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.take(heartbeat("newer", at(0), 6), now);
    fleet.take(refusing("older", 6, &[2, 4]), now);
    let propagation = fleet.wait_for(&commit(5, now), 600 * SECOND).await;
    assert_eq!((propagation.edges, propagation.applied), (Some(2), 1));
    assert_eq!(propagation.waiting, ["older"]);
    let refusal = Refusal {
        edge: "older".to_owned(),
        reason: "format 2, this reads 1".to_owned(),
    };
    assert_eq!(propagation.refused, [refusal]);
    // What it refused before, and what it will refuse, is of other edits.
    for applied in [4, 6] {
        let propagation = fleet.wait_for(&commit(applied, now), 600 * SECOND).await;
        assert_eq!((propagation.applied, propagation.refused), (2, Vec::new()));
    }
}

#[tokio::test]
async fn an_edit_that_changes_nothing_is_not_applied_where_something_was_refused_that_is_taken_here()
 {
    let (fleet, now) = (Fleet::new(), Instant::now());
    fleet.take(EdgesEvent::CaughtUp, now);
    fleet.take(refusing("older", 6, &[2, 4]), now);
    let refused_here = |offsets: &[i64]| {
        let record = |&offset| RefusedRecord::new(Topic::Tags, 0, offset, "");
        Commit {
            records: Records::Earlier {
                refused_here: offsets.iter().map(record).collect(),
            },
            ..commit(6, now)
        }
    };
    let propagation = fleet.wait_for(&refused_here(&[2]), 600 * SECOND).await;
    assert_eq!(propagation.applied, 0);
    // Whose record it is, is nothing to whoever asks.
    assert!(!propagation.refused[0].reason.contains("format"));
    let poison = fleet.wait_for(&refused_here(&[2, 4]), 600 * SECOND).await;
    assert_eq!(poison.applied, 1);
}
