//! The days' salts as the admin keeps them: made ahead, kept as they are, destroyed in time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use journal::{Journal, Salt, SaltChange, Salts, SaltsEvent, SqliteJournal};

use crate::support::{PUBLIC_URL, Server};

pub fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}

/// A day of so many from today.
pub fn day(from_today: i64) -> Date {
    today().saturating_add(from_today.days())
}

fn journal_of(server: &Server) -> SqliteJournal {
    SqliteJournal::open(&server.folder().join("journal.sqlite")).unwrap()
}

/// All that are there.
pub fn salts_of(server: &Server) -> BTreeMap<Date, Salt> {
    let mut follower = journal_of(server).follow_salts().unwrap();
    let mut salts = BTreeMap::new();
    loop {
        match follower.next(Duration::from_secs(10)).unwrap() {
            Some(SaltsEvent::Salt(salt)) => drop(salts.insert(salt.day(), salt)),
            Some(SaltsEvent::CaughtUp) => return salts,
            other => panic!("{other:?}"),
        }
    }
}

/// The same installation with another admin, before which these days had got salts, as an admin of those days would have made them.
pub async fn with_salts_of(server: Server, days: &[Date]) -> Server {
    let journal = journal_of(&server);
    journal.become_writer().await.unwrap();
    let salts = days.iter().map(|day| SaltChange::Publish(known_salt(*day)));
    journal.change_salts(salts.collect()).await.unwrap();
    server.restart(PUBLIC_URL).await
}

fn known_salt(day: Date) -> Salt {
    let secret = format!("salt: {day}");
    Salt::new(day, <[u8; 16]>::try_from(secret.as_bytes()).unwrap().into())
}

/// Whether some bytes are in any file of a folder.
pub fn is_in_files(folder: &Path, bytes: &[u8]) -> bool {
    let mut found = false;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found |= match path.is_dir() {
            true => is_in_files(&path, bytes),
            false => {
                let content = std::fs::read(&path).unwrap_or_default();
                content.windows(bytes.len()).any(|window| window == bytes)
            }
        };
    }
    found
}

#[tokio::test]
async fn there_are_salts_for_a_week_ahead_that_no_restart_replaces() {
    let server = Server::start().await;
    let made = salts_of(&server);
    let days: Vec<Date> = (0..=7).map(day).collect();
    assert_eq!(made.keys().copied().collect::<Vec<_>>(), days);
    let mut secrets: Vec<_> = made.values().map(|salt| *salt.secret()).collect();
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 8, "each is another");
    let server = server.restart(PUBLIC_URL).await;
    assert_eq!(salts_of(&server), made);
    // One more admin, on the same journal.
    let newer = Server::start_beside(&server, "newer").await;
    assert_eq!(salts_of(&newer), made);
}

#[tokio::test]
async fn a_salt_is_gone_from_the_disk_when_the_day_after_its_own_is_over() {
    let server = Server::start().await;
    let days = [-9, -2, -1].map(day);
    let server = with_salts_of(server, &days).await;
    let left = salts_of(&server);
    let expected: Vec<Date> = (-1..=7).map(day).collect();
    assert_eq!(left.keys().copied().collect::<Vec<_>>(), expected);
    assert_eq!(left[&days[2]], known_salt(days[2]), "it stays as it was");
    let on_disk = days.map(|day| is_in_files(server.folder(), known_salt(day).secret()));
    assert_eq!(on_disk, [false, false, true]);
}
