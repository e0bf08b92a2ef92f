//! One suite of contract tests over both places where edges say how they are, then what only Kafka has, then the records.
//!
//! Kafka is the real one at `TAGWIRE_TEST_KAFKA`; `tests/run` starts it.

#![allow(
    clippy::unwrap_used,
    reason = "the suite is a test, also outside the functions marked as one"
)]

mod hearing;
mod kafka_only;
mod place;
mod samples;
mod suite;
#[path = "../waiting/mod.rs"]
mod waiting;
mod wire_format;

/// Makes each function of the suite a test of each place.
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                crate::suite::$test(&journal::LocalEdges::new()).await
            })*
        }
        mod kafka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                let place = crate::place::KafkaPlace::new()?;
                let outcome = crate::suite::$test(&place.edges()).await;
                place.remove_topic().await;
                outcome
            })*
        }
    };
}

over_both! {
    what_an_edge_says_is_heard_whole,
    who_comes_later_hears_the_last_words_of_each_edge_and_then_that_it_has_caught_up,
    a_place_where_nobody_has_said_anything_is_caught_up_with,
    who_has_said_farewell_is_not_heard_of_again,
    the_newest_of_many_heartbeats_is_heard_last,
    two_runs_of_one_edge_are_told_apart,
    two_followers_hear_the_same,
}
