//! One suite of contract tests over both journals: what a role may rely on, whichever of the two it runs on.
//!
//! Kafka is the real one at `TAGWIRE_TEST_KAFKA`; `tests/run` starts it. What only Kafka has is in `kafka_only`.

#![allow(
    clippy::unwrap_used,
    reason = "the suite is a test, also outside the functions marked as one"
)]

mod following;
mod kafka_only;
mod places;
mod samples;
mod suite;
#[path = "../waiting/mod.rs"]
mod waiting;

/// Makes each function of the suite a test of each place.
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                let place = crate::places::SqlitePlace::new()?;
                crate::suite::$test(&place).await
            })*
        }
        mod kafka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                let place = crate::places::KafkaPlace::new()?;
                let outcome = crate::suite::$test(&place).await;
                place.remove_topics().await;
                outcome
            })*
        }
    };
}

over_both! {
    what_is_published_is_followed_from_the_start,
    following_goes_on_from_positions,
    changes_of_one_key_keep_their_order_under_concurrent_publishers,
    the_end_of_an_empty_log_is_seen,
    the_end_is_seen_behind_a_transaction_and_covers_what_was_published,
    a_running_follower_hears_of_a_change_by_another_instance,
    everything_is_there_after_reopening,
    a_transaction_is_seen_whole_or_not_at_all,
    concurrent_publishes_share_transactions,
    publishing_without_becoming_the_writer_is_refused,
    an_older_writer_is_fenced_and_may_take_the_role_back,
    a_refused_record_is_skipped_counted_and_what_was_before_stays,
    a_record_that_is_too_large_is_refused_before_anything_is_written,
    a_writer_can_wait_until_its_change_is_applied,
    publishing_nothing_is_no_error,
    positions_outside_the_log_end_the_follower,
    the_end_is_seen_while_others_never_stop_writing,
}
