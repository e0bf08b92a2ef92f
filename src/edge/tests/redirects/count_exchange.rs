//! Edges that count together, at a place in memory: what one has counted the others hear, also after the place was emptied.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use journal::{
    Count, Counts, CountsError, CountsEvent, CountsFollower, CountsPublisher, FollowError,
};
use tags::{Change, MaxScans, Tag};

use crate::fixture::{Edge, HOST, tag};

/// Where edges tell each other their counts.
#[derive(Clone, Default)]
struct Place(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    counts: Vec<Count>,
    /// How often it has been emptied.
    emptied: u32,
}

impl Counts for Place {
    fn publisher(&self) -> Box<dyn CountsPublisher> {
        Box::new(self.clone())
    }

    fn follow(&self) -> Result<Box<dyn CountsFollower>, FollowError> {
        Ok(Box::new(Follower {
            place: self.clone(),
            next: 0,
            caught_up: false,
            emptied: self.0.lock().unwrap().emptied,
        }))
    }
}

impl CountsPublisher for Place {
    fn publish(&mut self, counts: &[Count]) -> Result<(), CountsError> {
        self.0.lock().unwrap().counts.extend_from_slice(counts);
        Ok(())
    }
}

struct Follower {
    place: Place,
    next: usize,
    caught_up: bool,
    emptied: u32,
}

impl CountsFollower for Follower {
    fn next(&mut self, wait: Duration) -> Result<Option<CountsEvent>, FollowError> {
        let told = self.place.0.lock().unwrap();
        if told.emptied != self.emptied {
            return Err(FollowError::OtherLog {
                place: "memory".into(),
                reason: "it was emptied".into(),
                foreign: false,
            });
        }
        if let Some(count) = told.counts.get(self.next) {
            self.next += 1;
            return Ok(Some(CountsEvent::Count(count.clone())));
        }
        if !std::mem::replace(&mut self.caught_up, true) {
            return Ok(Some(CountsEvent::CaughtUp));
        }
        drop(told);
        std::thread::sleep(wait.min(Duration::from_millis(5))); // this is where it rests
        Ok(None)
    }
}

impl Place {
    /// How many scans have been told of, over all series.
    fn sum(&self) -> u64 {
        let told = self.0.lock().unwrap();
        let newest = |count: &Count| {
            let of_series = told.counts.iter().filter(|it| it.series == count.series);
            of_series.map(|it| it.scans).max() == Some(count.scans)
        };
        let mut newest: Vec<_> = told.counts.iter().filter(|count| newest(count)).collect();
        newest.sort_by_key(|count| count.series.clone());
        newest.dedup_by_key(|count| count.series.clone());
        newest.iter().map(|count| count.scans).sum()
    }
}

fn limited() -> Vec<Change> {
    vec![Change::Tag(Tag {
        max_scans: MaxScans::new(10).ok(),
        ..tag(HOST, "few")
    })]
}

fn status(edge: &Edge, method: &str) -> u16 {
    let head = format!("{method} /few HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    edge.get(&head).status
}

/// What else but a fault reaches this.
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_limit_that_is_reached_at_one_edge_is_reached_at_all() {
    let place = Place::default();
    let start = |name| Edge::counting_at(name, limited(), Some(Arc::new(place.clone())));
    let (first, _exchange) = start("edge-1");
    let (second, _other_exchange) = start("edge-2");
    assert_eq!([(); 4].map(|()| status(&second, "GET")), [302; 4]);
    until("the second tells", || place.sum() == 4);
    // HEAD is not counted.
    let given = (0..).take_while(|_| status(&first, "GET") == 302).count();
    assert!((6..=10).contains(&given), "{given}");
    until("the second hears", || status(&second, "HEAD") == 410);
    assert!(first.shown("tagwire_edge_counts_published_total") > 0.0);
    assert_eq!(first.shown("tagwire_edge_counts_lag_seconds"), 0.0);
}

#[test]
fn what_was_counted_is_told_again_when_the_place_was_emptied_also_for_an_edge_that_is_gone() {
    let place = Place::default();
    let start = |name| Edge::counting_at(name, limited(), Some(Arc::new(place.clone())));
    let (gone, exchange) = start("gone");
    assert_eq!([(); 7].map(|()| status(&gone, "GET")), [302; 7]);
    exchange.stop(Instant::now() + Duration::from_secs(20));
    assert_eq!(place.sum(), 7, "the last is told at the end");
    drop(gone);

    let (left, _exchange) = start("left");
    let given = (0..).take_while(|_| status(&left, "GET") == 302).count();
    assert!((3..=10).contains(&given), "{given}");
    until("it hears of all", || status(&left, "HEAD") == 410);
    let all = 7 + given as u64;
    until("it tells", || place.sum() == all);
    {
        let mut told = place.0.lock().unwrap();
        told.counts.clear();
        told.emptied += 1;
    }
    until("all is told again", || place.sum() == all);
    let (new, _exchange) = start("new");
    until("a new one hears of all", || status(&new, "HEAD") == 410);
}
