//! What the admin and the edges may rely on, whichever the place.

use anyhow::ensure;
use journal::{PublishError, Salt, SaltChange, SaltsEvent, SaltsFollower};

use crate::place::Place;
use crate::waiting::until;
use crate::{day, salt};

/// What comes up to the event that `last` accepts.
pub(crate) fn heard(
    follower: &mut dyn SaltsFollower,
    last: impl FnMut(&SaltsEvent) -> bool,
) -> anyhow::Result<Vec<SaltsEvent>> {
    let events = until(|wait| Ok(follower.next(wait)?), last)?;
    // A topic that was made a moment ago may be away for another.
    let passing = |event: &SaltsEvent| {
        matches!(
            event,
            SaltsEvent::Disconnected { .. } | SaltsEvent::Connected
        )
    };
    Ok(events.into_iter().filter(|event| !passing(event)).collect())
}

/// All that is there.
pub(crate) fn there(follower: &mut dyn SaltsFollower) -> anyhow::Result<Vec<SaltsEvent>> {
    let mut events = heard(follower, |event| *event == SaltsEvent::CaughtUp)?;
    ensure!(events.pop() == Some(SaltsEvent::CaughtUp));
    Ok(events)
}

pub(crate) fn publish(days: &[&str]) -> Vec<SaltChange> {
    let salts = days.iter().map(|day| salt(day));
    salts.map(SaltChange::Publish).collect()
}

fn told(days: &[&str]) -> Vec<SaltsEvent> {
    days.iter().map(|day| SaltsEvent::Salt(salt(day))).collect()
}

pub(crate) async fn what_the_writer_makes_others_hear_whether_they_listen_or_come_later(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let admin = place.open()?;
    admin.journal.become_writer().await?;
    let edge = place.open()?;
    let mut listens = edge.salts.follow_salts()?;
    assert_eq!(there(&mut *listens)?, []);
    let days = ["2026-11-29", "2026-11-30"];
    admin.salts.change_salts(publish(&days)).await?;
    let mut left = days.len();
    let live = heard(&mut *listens, |event| {
        left -= usize::from(matches!(event, SaltsEvent::Salt(_)));
        left == 0
    })?;
    assert_eq!(live, told(&days));
    let mut comes_later = edge.salts.follow_salts()?;
    assert_eq!(there(&mut *comes_later)?, told(&days));
    let SaltsEvent::Salt(heard) = &live[0] else {
        unreachable!("compared above");
    };
    assert_eq!(heard.secret(), salt(days[0]).secret());
    Ok(())
}

pub(crate) async fn what_is_destroyed_is_told_and_is_not_there_for_who_comes_later(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let admin = place.open()?;
    admin.journal.become_writer().await?;
    let days = ["2026-11-27", "2026-11-28", "2026-11-29"];
    admin.salts.change_salts(publish(&days)).await?;
    let edge = place.open()?;
    let mut listens = edge.salts.follow_salts()?;
    assert_eq!(there(&mut *listens)?, told(&days));
    let changes = [
        vec![SaltChange::Destroy(day("2026-11-27"))],
        publish(&["2026-11-30"]),
    ];
    admin.salts.change_salts(changes.concat()).await?;
    // That a day without one has none is no news that must not be said.
    let again = vec![SaltChange::Destroy(day("2026-11-26"))];
    admin.salts.change_salts(again).await?;
    let live = heard(&mut *listens, |event| {
        *event == SaltsEvent::Salt(salt("2026-11-30"))
    })?;
    let destroyed = SaltsEvent::Destroyed(day("2026-11-27"));
    assert_eq!(live[0], destroyed);
    let mut left: Vec<Salt> = Vec::new();
    for event in there(&mut *edge.salts.follow_salts()?)? {
        match event {
            SaltsEvent::Salt(salt) => left.push(salt),
            SaltsEvent::Destroyed(day) => left.retain(|salt| salt.day() != day),
            other => panic!("{other:?}"),
        }
    }
    let kept = ["2026-11-28", "2026-11-29", "2026-11-30"].map(salt);
    assert_eq!(left, kept);
    Ok(())
}

pub(crate) async fn who_is_not_the_writer_can_change_nothing(
    place: &dyn Place,
) -> anyhow::Result<()> {
    let (older, newer) = (place.open()?, place.open()?);
    let refused = older.salts.change_salts(publish(&["2026-11-29"])).await;
    assert!(
        matches!(refused, Err(PublishError::NotWriter)),
        "{refused:?}"
    );
    older.journal.become_writer().await?;
    older.salts.change_salts(publish(&["2026-11-29"])).await?;
    newer.journal.become_writer().await?;
    let fenced = older.salts.change_salts(publish(&["2026-11-30"])).await;
    assert!(
        matches!(fenced, Err(PublishError::Fenced { .. })),
        "{fenced:?}"
    );
    newer.salts.change_salts(publish(&["2026-12-01"])).await?;
    let both = told(&["2026-11-29", "2026-12-01"]);
    assert_eq!(there(&mut *newer.salts.follow_salts()?)?, both);
    Ok(())
}
