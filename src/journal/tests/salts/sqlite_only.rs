//! What only SQLite has: that nothing of a destroyed salt is left in its files.

use std::path::Path;
use std::time::Duration;

use journal::{SaltChange, SaltsEvent};

use crate::place::{Place, Sqlite};
use crate::suite::{heard, publish, there};
use crate::{day, salt};

/// How often the bytes of a day's salt are in the journal's files.
fn found(file: &Path, of: &str) -> usize {
    let salt = salt(of);
    let names = ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"];
    let files = names.iter().filter_map(|name| {
        let path = file.with_file_name(name);
        std::fs::read(path).ok()
    });
    files
        .map(|content| {
            let windows = content.windows(salt.secret().len());
            windows.filter(|bytes| bytes == salt.secret()).count()
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_destroyed_salt_is_left_in_the_files() -> anyhow::Result<()> {
    let place = Sqlite::new()?;
    let admin = place.open()?;
    admin.journal.become_writer().await?;
    let days = ["2026-11-27", "2026-11-28", "2026-11-29"];
    admin.salts.change_salts(publish(&days)).await?;
    for of in days {
        assert!(found(&place.file(), of) > 0, "it is looked for where it is");
    }
    let destroy = vec![SaltChange::Destroy(day("2026-11-28"))];
    admin.salts.change_salts(destroy).await?;
    let left = days.map(|of| found(&place.file(), of) > 0);
    assert_eq!(left, [true, false, true]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salt_in_the_place_of_what_was_none_is_heard() -> anyhow::Result<()> {
    let place = Sqlite::new()?;
    let admin = place.open()?;
    admin.journal.become_writer().await?;
    let raw = rusqlite::Connection::open(place.file())?;
    raw.busy_timeout(Duration::from_secs(10))?;
    for (key, value) in [("2026-11-29", &b"\xff\xff"[..]), ("no day", &b""[..])] {
        raw.execute(
            "INSERT INTO salts (day, value) VALUES (?1, ?2)",
            (key, value),
        )?;
    }
    let mut follower = admin.salts.follow_salts()?;
    let refused: Vec<_> = there(&mut *follower)?
        .into_iter()
        .map(|event| match event {
            SaltsEvent::Refused { day, .. } => day,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(refused, [Some(day("2026-11-29")), None]);
    admin.salts.change_salts(publish(&["2026-11-29"])).await?;
    let salt = SaltsEvent::Salt(salt("2026-11-29"));
    let live = heard(&mut *follower, |event| *event == salt)?;
    assert_eq!(live, [salt], "and the other is not told of again");
    Ok(())
}
