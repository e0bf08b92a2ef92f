//! What holds for every journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use journal::{Applied, Event, FollowError, Positions, PublishError, Since};
use tags::Topic;

use crate::following::{changes, changes_coming, positions, to_the_end, until, versions};
use crate::places::{Opened, Place, all};
use crate::samples::{audited, change, domain, too_large};

async fn writer(place: &dyn Place) -> anyhow::Result<Opened> {
    let opened = place.open()?;
    opened.journal.become_writer().await?;
    Ok(opened)
}

pub(crate) async fn what_is_published_is_followed_from_the_start(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    journal.publish(vec![change("a", 1)]).await?;
    journal
        .publish(vec![domain("qr.example.com"), change("a", 2)])
        .await?;
    journal.publish(audited("b", 1)).await?;

    let mut edge = journal.follow(&Topic::EDGE, Since::default())?;
    let events = to_the_end(&mut *edge)?;
    let seen = changes(&events);
    assert_eq!(seen.len(), 4, "an edge hears of no audit: {events:?}");
    for expected in [
        change("a", 1),
        change("a", 2),
        change("b", 1),
        domain("qr.example.com"),
    ] {
        assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
    }
    let mut audit = journal.follow(&[Topic::Audit], Since::default())?;
    assert_eq!(changes(&to_the_end(&mut *audit)?), audited("b", 1)[1..]);
    Ok(())
}

pub(crate) async fn following_goes_on_from_positions(place: &dyn Place) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    for version in 1..=3 {
        journal
            .publish(vec![change("a", version), change("b", version)])
            .await?;
    }
    let mut first = journal.follow(&[Topic::Tags], Since::default())?;
    let stopped_at = positions(&to_the_end(&mut *first)?);
    drop(first);
    journal.publish(vec![change("a", 4)]).await?;

    let mut second = journal.follow(&[Topic::Tags], stopped_at.into())?;
    let events = to_the_end(&mut *second)?;
    assert_eq!(changes(&events), [change("a", 4)], "{events:?}");
    Ok(())
}

pub(crate) async fn changes_of_one_key_keep_their_order_under_concurrent_publishers(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let journal: Arc<dyn journal::Journal> = writer(place).await?.journal.into();
    let publishers = ["a", "b", "c", "d", "e", "f"].map(|code| {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            for version in 1..=10 {
                journal.publish(audited(code, version)).await?;
            }
            anyhow::Ok(())
        })
    });
    all(publishers.into()).await?;

    let mut follower = journal.follow(&[Topic::Tags], Since::default())?;
    let events = to_the_end(&mut *follower)?;
    for code in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(versions(&events, code), Vec::from_iter(1..=10));
    }
    Ok(())
}

pub(crate) async fn the_end_of_an_empty_log_is_seen(place: &dyn Place) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    let mut follower = journal.follow(&Topic::ALL, Since::default())?;
    assert_eq!(changes(&to_the_end(&mut *follower)?), []);

    // It is said once: what comes later is no second end.
    journal.publish(vec![change("a", 1)]).await?;
    let later = changes_coming(&mut *follower, 1)?;
    assert!(!later.contains(&Event::CaughtUp));
    Ok(())
}

pub(crate) async fn the_end_is_seen_behind_a_transaction_and_covers_what_was_published(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    let mut published = Positions::default();
    for code in ["a", "b", "c", "d"] {
        published.merge(&journal.publish(audited(code, 1)).await?);
    }
    let mut follower = journal.follow(&[Topic::Tags, Topic::Audit], Since::default())?;
    let reached = positions(&to_the_end(&mut *follower)?);
    assert!(
        reached.covers(&published),
        "{reached:?} covers {published:?}"
    );

    // Who starts where the log ends is at its end.
    let mut at_the_end = journal.follow(&[Topic::Tags, Topic::Audit], reached.into())?;
    assert_eq!(changes(&to_the_end(&mut *at_the_end)?), []);
    Ok(())
}

pub(crate) async fn a_running_follower_hears_of_a_change_by_another_instance(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened {
        journal: writing, ..
    } = writer(place).await?;
    let Opened {
        journal: reading, ..
    } = place.open()?;
    let mut follower = reading.follow(&Topic::EDGE, Since::default())?;
    to_the_end(&mut *follower)?;
    writing.publish(vec![change("a", 1)]).await?;
    assert_eq!(
        changes(&changes_coming(&mut *follower, 1)?),
        [change("a", 1)]
    );
    Ok(())
}

pub(crate) async fn everything_is_there_after_reopening(place: &dyn Place) -> anyhow::Result<()> {
    let before = writer(place).await?;
    let published = before.journal.publish(audited("a", 1)).await?;
    drop(before);

    let Opened { journal, .. } = writer(place).await?;
    let more = journal.publish(audited("a", 2)).await?;
    assert!(
        more.covers(&published) && more != published,
        "offsets go on: {published:?}, {more:?}"
    );
    let mut follower = journal.follow(&[Topic::Tags, Topic::Audit], Since::default())?;
    let events = to_the_end(&mut *follower)?;
    assert_eq!(versions(&events, "a"), [1, 2]);
    assert_eq!(changes(&events).len(), 4);
    Ok(())
}

pub(crate) async fn a_transaction_is_seen_whole_or_not_at_all(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    journal.publish(vec![change("a", 1)]).await?;
    // The second change cannot be written, so that the first must not be.
    let refused = journal.publish(vec![change("a", 2), too_large()]).await;
    ensure!(refused.is_err());
    journal
        .publish(vec![
            change("a", 3),
            change("b", 3),
            domain("qr.example.com"),
        ])
        .await?;

    let mut follower = journal.follow(&Topic::EDGE, Since::default())?;
    let events = to_the_end(&mut *follower)?;
    assert_eq!(versions(&events, "a"), [1, 3]);
    assert_eq!(changes(&events).len(), 4);
    Ok(())
}

pub(crate) async fn concurrent_publishes_share_transactions(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal, metrics } = writer(place).await?;
    let journal: Arc<dyn journal::Journal> = journal.into();
    let publishes = (0..100).map(|number| {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move { Ok(journal.publish(audited(&format!("t{number}"), 1)).await?) })
    });
    let published = all(publishes.collect()).await?;
    assert_eq!(metrics.published(), 100);
    assert!(
        metrics.transactions() < 100,
        "{} transactions for 100 publishes",
        metrics.transactions()
    );

    // Each was told where its own records lie: the audit's only partition holds one of each.
    let mut ends: Vec<_> = published
        .iter()
        .filter_map(|positions| positions.get(Topic::Audit, 0))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends.len(), 100);
    Ok(())
}

pub(crate) async fn publishing_without_becoming_the_writer_is_refused(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let outcome = place.open()?.journal.publish(vec![change("a", 1)]).await;
    assert!(
        matches!(outcome, Err(PublishError::NotWriter)),
        "{outcome:?}"
    );
    Ok(())
}

pub(crate) async fn an_older_writer_is_fenced_and_may_take_the_role_back(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal: older, .. } = writer(place).await?;
    older.publish(vec![change("a", 1)]).await?;
    let Opened { journal: newer, .. } = writer(place).await?;
    newer.publish(vec![change("a", 2)]).await?;

    for _ in 0..2 {
        let outcome = older.publish(vec![change("a", 100)]).await;
        let Err(error @ PublishError::Fenced { .. }) = outcome else {
            anyhow::bail!("not fenced: {outcome:?}")
        };
        assert!(
            error
                .to_string()
                .contains("only one admin may write at a time"),
            "{error}"
        );
        assert!(!error.is_retryable());
    }
    newer.publish(vec![change("a", 3)]).await?;

    older.become_writer().await?;
    older.publish(vec![change("a", 4)]).await?;
    assert!(matches!(
        newer.publish(vec![change("a", 100)]).await,
        Err(PublishError::Fenced { .. })
    ));
    let mut follower = newer.follow(&[Topic::Tags], Since::default())?;
    assert_eq!(versions(&to_the_end(&mut *follower)?, "a"), [1, 2, 3, 4]);
    Ok(())
}

pub(crate) async fn a_refused_record_is_skipped_counted_and_what_was_before_stays(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal, metrics } = writer(place).await?;
    journal.publish(vec![change("a", 1)]).await?;
    place
        .write_raw(Topic::Tags, b"qr.example.com/a", b"\xff\xffgarbage")
        .await?;
    let newer_major = [0x08, 0x63];
    place
        .write_raw(Topic::Tags, b"qr.example.com/a", &newer_major)
        .await?;
    place
        .write_raw(
            Topic::Tags,
            b"qr.example.com/other",
            &change("a", 7).encode(),
        )
        .await?;
    place.write_raw(Topic::Settings, b"nonsense/x", b"").await?;
    journal.publish(vec![change("b", 1)]).await?;

    let mut follower = journal.follow(&Topic::EDGE, Since::default())?;
    let events = to_the_end(&mut *follower)?;
    assert_eq!(versions(&events, "a"), [1]);
    assert_eq!(versions(&events, "b"), [1]);
    let refused: Vec<_> = events
        .iter()
        .filter(|event| matches!(event, Event::Refused { .. }))
        .collect();
    assert_eq!(refused.len(), 4, "{events:?}");
    assert!(refused.iter().all(|event| event.published_at().is_some()));
    assert_eq!(metrics.refused(), 4);
    Ok(())
}

pub(crate) async fn a_record_that_is_too_large_is_refused_before_anything_is_written(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    let outcome = journal.publish(vec![too_large()]).await;
    assert!(
        matches!(
            outcome,
            Err(PublishError::TooLarge {
                topic: Topic::Tags,
                ..
            })
        ),
        "{outcome:?}"
    );

    // Just as large as it may be: all of the limit is the caller's.
    let tags::Change::Tag(mut largest) = too_large() else {
        anyhow::bail!("not a tag")
    };
    let over = {
        let change = tags::Change::Tag(largest.clone());
        change.key().len() + change.encode().len() - journal::MAX_RECORD_BYTES
    };
    largest.name.truncate(largest.name.len() - over);
    let largest = tags::Change::Tag(largest);
    assert_eq!(
        largest.key().len() + largest.encode().len(),
        journal::MAX_RECORD_BYTES
    );
    journal.publish(vec![largest.clone()]).await?;
    // The broker acknowledges a transaction before its marker is in each partition, up to which a follower reads.
    let mut follower = journal.follow(&[Topic::Tags], Since::default())?;
    assert_eq!(changes(&changes_coming(&mut *follower, 1)?), [largest]);
    Ok(())
}

pub(crate) async fn a_writer_can_wait_until_its_change_is_applied(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    let (sender, applied) = Applied::new();
    let mut follower = journal.follow(&Topic::ALL, Since::default())?;
    to_the_end(&mut *follower)?;
    let reader = tokio::task::spawn_blocking(move || {
        tokio::runtime::Handle::current().block_on(async {
            until(&mut *follower, |event| {
                sender.applied(event);
                matches!(event, Event::Change { change, .. } if **change == domain("last.example.com"))
            })
        })
    });
    for version in 1..=5 {
        let published = journal.publish(audited("a", version)).await?;
        applied.wait_for(&published).await?;
        assert!(applied.positions().covers(&published));
    }
    journal.publish(vec![domain("last.example.com")]).await?;
    assert_eq!(versions(&reader.await??, "a"), [1, 2, 3, 4, 5]);
    Ok(())
}

pub(crate) async fn publishing_nothing_is_no_error(place: &dyn Place) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    assert_eq!(journal.publish(Vec::new()).await?, Positions::default());
    journal.publish(vec![change("a", 1)]).await?;
    assert_eq!(journal.publish(Vec::new()).await?, Positions::default());
    Ok(())
}

pub(crate) async fn positions_outside_the_log_end_the_follower(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let Opened { journal, .. } = writer(place).await?;
    journal.publish(vec![domain("qr.example.com")]).await?;
    let beyond = Positions::from_iter([(Topic::Settings, 0, 1_000_000)]);
    // SQLite says so at once, Kafka when it has been asked.
    let reason = match journal.follow(&[Topic::Settings], beyond.into()) {
        Ok(mut follower) => match until(&mut *follower, |_| false) {
            Ok(_) => anyhow::bail!("nothing was waited for"),
            Err(error) => error.downcast()?,
        },
        Err(error) => error,
    };
    assert!(
        matches!(&reason, FollowError::OtherLog { reason, .. } if reason.contains("1000000")),
        "{reason:?}"
    );
    Ok(())
}

pub(crate) async fn the_end_is_seen_while_others_never_stop_writing(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let journal: Arc<dyn journal::Journal> = writer(place).await?.journal.into();
    let caught_up = Arc::new(AtomicBool::new(false));
    let writers = ["a", "b", "c", "d"].map(|code| {
        let (journal, caught_up) = (Arc::clone(&journal), Arc::clone(&caught_up));
        tokio::spawn(async move {
            let mut version = 0;
            // Relaxed: only that it is seen some time matters.
            while !caught_up.load(Ordering::Relaxed) {
                version += 1;
                journal.publish(audited(code, version)).await?;
            }
            anyhow::Ok(version)
        })
    });
    let mut follower = journal.follow(&[Topic::Tags, Topic::Audit], Since::default())?;
    let outcome = to_the_end(&mut *follower);
    caught_up.store(true, Ordering::Relaxed);
    let written = all(writers.into()).await?;
    assert!(changes(&outcome?).len() as u64 <= 2 * written.iter().sum::<u64>());
    Ok(())
}
