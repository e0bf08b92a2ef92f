//! When a snapshot is written, what its age is, and that the last one is written or said to be missing.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::sys::stat::Mode;
use prometheus::Registry;
use table::read_snapshot_info;
use tags::Topic;
use tempfile::TempDir;

use super::*;

struct Fixture {
    snapshots: Snapshots,
    registry: Registry,
    folder: TempDir,
}

impl Fixture {
    /// Over a complete table, with one written whenever it is asked for.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = SnapshotOptions {
            file: folder.path().join("tags.snapshot"),
            every: Duration::ZERO,
            build: "1.2.3",
            held: false,
        };
        let (table, registry) = (Table::new(), Registry::new());
        table.complete();
        let metrics = EdgeMetrics::register(&registry).expect("new");
        let snapshots =
            Snapshots::start(options, Arc::default(), Arc::new(table), metrics).expect("a thread");
        Self {
            snapshots,
            registry,
            folder,
        }
    }

    fn age(&self) -> f64 {
        let families = self.registry.gather();
        let mut families = families.iter();
        let age = families.find(|it| it.name() == "tagwire_edge_snapshot_age_seconds");
        age.expect("it is there").get_metric()[0]
            .get_gauge()
            .get_value()
    }

    /// What keeps the next snapshot from being written until it is read.
    fn obstacle(&self) -> std::path::PathBuf {
        let path = self.folder.path().join("tags.snapshot.partial");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a pipe");
        path
    }
}

fn remove(obstacle: &Path) {
    let mut pipe = File::open(obstacle).expect("a pipe");
    let _ = pipe.read_to_end(&mut Vec::new()); // whatever comes; the snapshot fails by that
}

fn at(next_offset: i64) -> Positions {
    Positions::from_iter([(Topic::Tags, 0, next_offset)])
}

fn known(seconds_ago: u64) -> KnownLog {
    KnownLog {
        identity: "cluster".to_owned(),
        at: Timestamp::now() - Duration::from_secs(seconds_ago),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn a_snapshot_of_a_quiet_journal_stays_as_young_as_the_last_word_of_it() {
    let mut fixture = Fixture::new();
    fixture.snapshots.keep(&at(5), Some(&known(3_600)));
    assert!(fixture.snapshots.wait(soon()));
    fixture.snapshots.keep(&at(5), Some(&known(3_600)));
    assert!((3_600.0..3_660.0).contains(&fixture.age()));
    fixture.snapshots.keep(&at(5), Some(&known(0)));
    assert!(fixture.age() < 60.0, "{}", fixture.age());
    // Nothing is heard any more: it grows old.
    fixture.snapshots.confirmed_at -= Duration::from_secs(600);
    fixture.snapshots.keep(&at(5), Some(&known(700)));
    assert!(fixture.age() >= 600.0);
    // What has been ordered is not there yet.
    let obstacle = fixture.obstacle();
    fixture.snapshots.keep(&at(6), Some(&known(0)));
    fixture.snapshots.keep(&at(6), Some(&known(0)));
    assert!(fixture.age() >= 600.0);
    remove(&obstacle);
    fixture.snapshots.end(None, soon());
}

#[test]
fn the_last_snapshot_is_written_whatever_was_asked_for_before() {
    let mut fixture = Fixture::new();
    let obstacle = fixture.obstacle();
    fixture.snapshots.keep(&at(1), Some(&known(3)));
    fixture.snapshots.keep(&at(2), Some(&known(2)));
    let snapshots = fixture.snapshots;
    let ending = thread::spawn(move || {
        snapshots.end(Some((&at(3), Some(&known(1)))), soon());
    });
    remove(&obstacle);
    ending.join().expect("no panic");
    let info = read_snapshot_info(&fixture.folder.path().join("tags.snapshot"));
    let positions = info.expect("a snapshot").positions.into_iter().collect();
    assert_eq!(at(3), positions);
}

#[test]
fn a_record_that_is_dated_ahead_of_its_time_holds_no_snapshot_up() {
    let mut fixture = Fixture::new();
    let ahead = KnownLog {
        identity: "cluster".to_owned(),
        at: Timestamp::now() + Duration::from_secs(3_600),
    };
    fixture.snapshots.keep(&at(1), Some(&ahead));
    assert!(fixture.snapshots.wait(soon()));
    fixture.snapshots.end(Some((&at(2), Some(&ahead))), soon());
    let info = read_snapshot_info(&fixture.folder.path().join("tags.snapshot"));
    let positions = info.expect("a snapshot").positions.into_iter().collect();
    assert_eq!(at(2), positions);
}

#[test]
fn an_end_does_not_wait_for_ever() {
    let mut fixture = Fixture::new();
    let obstacle = fixture.obstacle();
    fixture.snapshots.keep(&at(1), Some(&known(3)));
    let last = at(2);
    fixture
        .snapshots
        .end(Some((&last, Some(&known(1)))), Instant::now());
    assert!(obstacle.exists(), "it is still being written");
    remove(&obstacle);
}

#[test]
fn a_file_that_is_another_process_s_is_not_written_and_who_asks_for_one_waits_until_it_is() {
    use tokio::sync::oneshot::error::TryRecvError::{Closed, Empty};

    let mut fixture = Fixture::new();
    let file = fixture.folder.path().join("tags.snapshot");
    let ask = |snapshots: &mut Snapshots| {
        let (written, waits) = tokio::sync::oneshot::channel();
        snapshots.write_now(&at(1), Some(&known(3)), written);
        waits
    };
    fixture.snapshots.held.store(true, Ordering::Relaxed);
    let mut waits = ask(&mut fixture.snapshots);
    assert_eq!(
        waits.try_recv(),
        Err(Closed),
        "there is nothing to wait for"
    );

    fixture.snapshots.held.store(false, Ordering::Relaxed);
    let obstacle = fixture.obstacle();
    let mut waits = ask(&mut fixture.snapshots);
    assert_eq!(waits.try_recv(), Err(Empty));
    assert!(!file.exists());
    remove(&obstacle);
    assert!(fixture.snapshots.wait(soon()));
    assert_eq!(waits.try_recv(), Err(Closed));
    drop(ask(&mut fixture.snapshots));
    assert!(fixture.snapshots.wait(soon()));

    fixture.snapshots.held.store(true, Ordering::Relaxed);
    let last = at(2);
    fixture
        .snapshots
        .end(Some((&last, Some(&known(1)))), soon());
    let info = read_snapshot_info(&file);
    let positions = info.expect("a snapshot").positions.into_iter().collect();
    assert_eq!(at(1), positions);
}
