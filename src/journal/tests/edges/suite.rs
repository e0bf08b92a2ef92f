//! What holds wherever edges say how they are.

use anyhow::ensure;
use jiff::{SignedDuration, Timestamp};
use journal::{Edges, EdgesEvent, Reporter};

use crate::hearing::{heartbeats, until, until_caught_up, until_heard};
use crate::samples::{heartbeat, run};

async fn reporter(edges: &dyn Edges) -> anyhow::Result<Box<dyn Reporter>> {
    edges.prepare().await?;
    Ok(edges.reporter()?)
}

pub(crate) async fn what_an_edge_says_is_heard_whole(edges: &dyn Edges) -> anyhow::Result<()> {
    let mut reporter = reporter(edges).await?;
    let mut follower = edges.follow()?;
    until_caught_up(&mut *follower)?;
    let said = heartbeat("edge-1", u64::MAX, 5);
    reporter.report(&said).await?;
    let events = until_heard(&mut *follower, &said)?;
    let Some(EdgesEvent::Heartbeat { written_at, .. }) = events.last() else {
        unreachable!("it is what was waited for")
    };
    let age = Timestamp::now().duration_since(*written_at);
    ensure!(
        age.abs() < SignedDuration::from_mins(10),
        "not the time at which it was written, but {written_at}"
    );
    Ok(())
}

pub(crate) async fn who_comes_later_hears_the_last_words_of_each_edge_and_then_that_it_has_caught_up(
    edges: &dyn Edges,
) -> anyhow::Result<()> {
    let mut reporter = reporter(edges).await?;
    for next_offset in 1..=3 {
        reporter.report(&heartbeat("a", 1, next_offset)).await?;
        reporter.report(&heartbeat("b", 1, next_offset)).await?;
    }
    let mut follower = edges.follow()?;
    let heard = heartbeats(&until_caught_up(&mut *follower)?);
    for edge in ["a", "b"] {
        let of_edge = heard.iter().rfind(|beat| beat.run.edge() == edge);
        assert_eq!(of_edge, Some(&heartbeat(edge, 1, 3)));
    }
    // And whatever comes then.
    reporter.report(&heartbeat("a", 1, 4)).await?;
    until_heard(&mut *follower, &heartbeat("a", 1, 4))?;
    Ok(())
}

pub(crate) async fn a_place_where_nobody_has_said_anything_is_caught_up_with(
    edges: &dyn Edges,
) -> anyhow::Result<()> {
    edges.prepare().await?;
    let mut follower = edges.follow()?;
    assert_eq!(until_caught_up(&mut *follower)?, [EdgesEvent::CaughtUp]);
    Ok(())
}

pub(crate) async fn who_has_said_farewell_is_not_heard_of_again(
    edges: &dyn Edges,
) -> anyhow::Result<()> {
    let mut reporter = reporter(edges).await?;
    let mut early = edges.follow()?;
    reporter.report(&heartbeat("a", 1, 1)).await?;
    reporter.report(&heartbeat("b", 1, 1)).await?;
    reporter.farewell(&run("a", 1)).await?;
    let farewell = EdgesEvent::Farewell(run("a", 1));
    until(&mut *early, |event| *event == farewell)?;

    let mut late = edges.follow()?;
    let events = until_caught_up(&mut *late)?;
    let of_a = events.iter().rfind(|event| match event {
        EdgesEvent::Heartbeat { heartbeat, .. } => heartbeat.run == run("a", 1),
        event => **event == farewell,
    });
    assert!(
        of_a.is_none_or(|last| *last == farewell),
        "a's last words: {of_a:?}"
    );
    assert!(heartbeats(&events).contains(&heartbeat("b", 1, 1)));
    Ok(())
}

pub(crate) async fn the_newest_of_many_heartbeats_is_heard_last(
    edges: &dyn Edges,
) -> anyhow::Result<()> {
    let mut reporter = reporter(edges).await?;
    let mut follower = edges.follow()?;
    for next_offset in 1..=200 {
        reporter.report(&heartbeat("a", 1, next_offset)).await?;
    }
    let heard = heartbeats(&until_heard(&mut *follower, &heartbeat("a", 1, 200))?);
    let in_order = heard.windows(2).all(|two| {
        let [earlier, later] = two else { return false };
        later.positions.covers(&earlier.positions) && later != earlier
    });
    assert!(in_order, "{heard:?}");
    Ok(())
}

pub(crate) async fn two_runs_of_one_edge_are_told_apart(edges: &dyn Edges) -> anyhow::Result<()> {
    let mut reporter = reporter(edges).await?;
    reporter.report(&heartbeat("a", 1, 1)).await?;
    reporter.report(&heartbeat("a", 2, 5)).await?;
    reporter.farewell(&run("a", 1)).await?;
    let mut follower = edges.follow()?;
    let heard = heartbeats(&until_caught_up(&mut *follower)?);
    assert!(heard.contains(&heartbeat("a", 2, 5)), "{heard:?}");
    Ok(())
}

pub(crate) async fn two_followers_hear_the_same(edges: &dyn Edges) -> anyhow::Result<()> {
    let mut reporter = reporter(edges).await?;
    let (mut first, mut second) = (edges.follow()?, edges.follow()?);
    let said = heartbeat("a", 1, 1);
    reporter.report(&said).await?;
    until_heard(&mut *first, &said)?;
    until_heard(&mut *second, &said)?;
    Ok(())
}
