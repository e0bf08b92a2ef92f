//! The order in which a segment's marks are stored and looked at, proved by loom: each model below is run through every interleaving and every
//! stale look that the memory model allows. `marks` is the file that serves, with loom's atomics in place of the machine's.
//!
//! A model that cannot fail proves nothing: each order that `marks` asks for is taken away once, and each has to be missed.

mod atomic;
#[path = "../../src/segment/marks.rs"]
#[allow(dead_code)] // where a partition is kept, of which no order is asked
mod marks;
mod models;

use atomic::Place;
use loom::model::Builder;
use models::Model;

/// Runs a model, of which one place may have lost its order; fails if the model does, and tells where an order was asked for.
fn check(model: Model, weakened: Option<Place>) -> std::thread::Result<Vec<Place>> {
    // A thread of its own: what a model that has failed leaves behind goes with it.
    let checked = std::thread::spawn(move || {
        weakened.into_iter().for_each(atomic::weaken);
        Builder::new().check(model);
        atomic::asked().into_iter().collect()
    });
    checked.join()
}

#[test]
fn whatever_a_reader_or_an_adopter_sees_holds_together() {
    for (name, model) in models::ALL {
        assert!(check(*model, None).is_ok(), "{name}");
    }
}

#[test]
fn each_order_that_is_asked_for_is_missed_when_it_is_taken_away() {
    let mut asked = Vec::new();
    for (name, model) in models::ALL {
        let places = check(*model, None);
        asked.extend(places.unwrap_or_else(|_| panic!("{name} fails")));
    }
    asked.sort_unstable();
    asked.dedup();
    // All of them: what no model reaches would not be missed either.
    let code = include_str!("../../src/segment/marks.rs").lines();
    let orders = code
        .filter(|line| line.contains("Ordering::Release)") || line.contains("Ordering::Acquire)"));
    assert_eq!(asked.len(), orders.count());
    for place in asked {
        let misses = |(_, model): &&(&str, Model)| check(*model, Some(place)).is_err();
        let noticed = models::ALL.iter().find(misses);
        assert!(
            noticed.is_some(),
            "nothing misses the order asked for at {place:?}"
        );
    }
}

#[test]
fn a_shipper_that_goes_about_it_otherwise_is_noticed() {
    for (name, model) in models::BROKEN {
        assert!(check(*model, None).is_err(), "{name}");
    }
}
