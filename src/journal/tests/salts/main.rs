//! The days' salts at both places: what the writer makes others hear, what it destroys is gone, and the records.
//!
//! Kafka is the real one at `TAGWIRE_TEST_KAFKA`; `tests/run` starts it.

#![allow(
    clippy::unwrap_used,
    reason = "these are tests, also outside the functions marked as one"
)]

mod kafka_only;
mod place;
mod sqlite_only;
mod suite;
#[path = "../waiting/mod.rs"]
mod waiting;
mod wire_format;

use jiff::civil::Date;
use journal::Salt;

/// A salt whose bytes are found again wherever they are.
fn salt(day: &str) -> Salt {
    let mut secret = *b"a salt of 00.00.";
    secret[10..12].copy_from_slice(&day.as_bytes()[8..]);
    secret[13..15].copy_from_slice(&day.as_bytes()[5..7]);
    Salt::new(self::day(day), secret.into())
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// Makes each function of the suite a test of each place.
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                crate::suite::$test(&crate::place::Sqlite::new()?).await
            })*
        }
        mod kafka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                let place = crate::place::Kafka::new()?;
                let outcome = crate::suite::$test(&place).await;
                place.remove_topics().await;
                outcome
            })*
        }
    };
}

over_both! {
    what_the_writer_makes_others_hear_whether_they_listen_or_come_later,
    what_is_destroyed_is_told_and_is_not_there_for_who_comes_later,
    who_is_not_the_writer_can_change_nothing,
}
