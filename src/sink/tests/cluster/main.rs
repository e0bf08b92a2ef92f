//! The whole sink between a real Kafka and a real ClickHouse, killed and cut off in the middle. `tests/run` starts both.

mod stack;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use analytics::{ClickHouseStore, Counted, Run, ScanStore};
use facts::{Agents, PlacesFile};
use prometheus::Registry;
use sink::{Enricher, SinkMetrics, SinkOptions};
use stack::{Gate, Produced, Stack, eventually};

const CHILD: &str = "TAGWIRE_TEST_SINK_CHILD";

fn options(brokers: &str, prefix: &str) -> SinkOptions {
    SinkOptions {
        block_scans: 300,
        linger: Duration::from_millis(100),
        partitions: 2,
        save_positions_every: Duration::from_millis(200),
        // A member that was killed is missed after this.
        kafka_options: [("session.timeout.ms".to_owned(), "6000".to_owned())].into(),
        ..SinkOptions::new(brokers, prefix)
    }
}

/// A sink on a thread of this process.
struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    registry: Registry,
}

impl Running {
    fn start(stack: &Stack, url: &str, health: Sender<Result<(), String>>) -> Self {
        let (stop, registry) = (Arc::new(AtomicBool::new(false)), Registry::new());
        let metrics = SinkMetrics::register(&registry).expect("a new registry");
        let store = Arc::new(ClickHouseStore::new(&stack.clickhouse(url)));
        let enricher = Arc::new(Enricher::new(
            Arc::new(Agents::new().expect("patterns")),
            Arc::new(PlacesFile::none()),
        ));
        let (options, runtime) = (
            options(&stack.brokers, &stack.prefix),
            stack.runtime.handle().clone(),
        );
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let tell = |state| drop(health.send(state));
            sink::run(
                &options, store, enricher, metrics, &tell, runtime, &stopping,
            )
            .expect("a sink");
        });
        Self {
            stop,
            thread,
            registry,
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .expect("present from the start");
        let metric = &family.get_metric()[0];
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a clean end");
    }
}

/// Waits for all to be stored; then every scan is there once and nothing else is.
fn assert_stored_once(stack: &Stack, produced: &Produced) {
    let store = ClickHouseStore::new(&stack.clickhouse(&stack.url));
    let all = |counted: &Counted| counted.scans >= produced.scans();
    let count = || {
        stack
            .runtime
            .block_on(store.count(&produced.runs()))
            .expect("ClickHouse is up")
    };
    eventually("every scan is stored", || all(&count()));
    let exactly = Counted {
        rows: produced.scans(),
        scans: produced.scans(),
    };
    assert_eq!(count(), exactly, "each once");
    assert_eq!(
        stack.number("SELECT count() FROM scans"),
        produced.scans(),
        "and no other"
    );
}

#[test]
fn a_sink_killed_again_and_again_stores_every_scan_once() {
    let stack = Stack::new();
    let produced = Produced::new(&stack);
    produced.batches(0..3);
    let stored = || stack.number("SELECT count() FROM scans");
    let mut seen = 0;
    for round in 0..4_u64 {
        produced.batches(3 + round * 40..3 + (round + 1) * 40);
        let mut child = Killed(child(&stack));
        // Killed as soon as it has stored anything: in the middle of what was just produced.
        eventually("the child stores something", || stored() > seen);
        child.kill();
        seen = stored();
    }
    produced.replay_some();
    produced.poison();
    let (health, _) = channel();
    let sink = Running::start(&stack, &stack.url, health);
    assert_stored_once(&stack, &produced);
    eventually("the poison record is set aside", || {
        sink.metric("tagwire_sink_dead_total") == 1.0
    });
    eventually("replays are counted", || {
        sink.metric("tagwire_sink_deduplicated_total") > 0.0
    });
    eventually("nothing is left to read", || {
        sink.metric("tagwire_sink_lag_records") == 0.0
    });
    assert_eq!(sink.metric("tagwire_sink_missing_total"), 0.0);
    sink.stop();

    let poison = "SELECT count() FROM scans_dead FINAL WHERE bytes = unhex('FF00FF') AND partition = 0 AND reason != ''";
    assert_eq!(stack.number(poison), 1);
    let batches = "SELECT uniqExact(partition, offset) FROM ledger";
    assert_eq!(
        stack.number(batches),
        produced.records() - 1,
        "every batch but the poison one"
    );
    assert_eq!(stored(), produced.scans());
}

#[test]
fn a_clickhouse_that_comes_and_goes_delays_scans_and_loses_none() {
    let stack = Stack::new();
    let produced = Produced::new(&stack);
    let gate = Gate::new(&stack.url);
    let (health, state) = channel();
    produced.batches(0..20);
    let sink = Running::start(&stack, &gate.url(), health);
    let told = |wanted: fn(&Result<(), String>) -> bool| {
        let deadline = Duration::from_secs(60);
        while !wanted(
            &state
                .recv_timeout(deadline)
                .expect("the sink tells its state"),
        ) {}
    };
    told(|state| {
        state
            .as_ref()
            .is_err_and(|reason| reason.contains("scan store"))
    });
    for round in 0..5_u64 {
        gate.open();
        told(Result::is_ok);
        produced.batches(20 + round * 20..40 + round * 20);
        eventually("some are stored", || {
            stack.number("SELECT count() FROM scans") > round * 500
        });
        // Cuts every connection, whatever is on it.
        gate.close();
        produced.batches(200 + round..201 + round);
        told(Result::is_err);
    }
    gate.open();
    assert_stored_once(&stack, &produced);
    sink.stop();
}

#[test]
fn a_sink_waits_for_a_kafka_that_is_not_there() {
    let mut stack = Stack::new();
    let (health, state) = channel();
    // Port 1 (tcpmux) is served nowhere.
    stack.brokers = "127.0.0.1:1".to_owned();
    let sink = Running::start(&stack, &stack.url, health);
    let told = state
        .recv_timeout(Duration::from_secs(60))
        .expect("it tells");
    assert!(told.is_err_and(|reason| reason.contains("no broker answers")));
    sink.stop();
}

#[test]
fn two_sinks_share_the_partitions_and_one_takes_over() {
    let stack = Stack::new();
    let produced = Produced::new(&stack);
    let (health, _) = channel();
    let one = Running::start(&stack, &stack.url, health.clone());
    produced.batches(0..30);
    eventually("the first works", || {
        one.metric("tagwire_sink_rows_total") > 0.0
    });
    let other = Running::start(&stack, &stack.url, health);
    eventually("the second has its share", || {
        produced.batches(produced.next()..produced.next() + 2);
        other.metric("tagwire_sink_rows_total") > 0.0
    });
    one.stop();
    produced.batches(produced.next()..produced.next() + 30);
    assert_stored_once(&stack, &produced);
    other.stop();
}

/// Ends with the test, also with one that fails.
struct Killed(std::process::Child);

impl Killed {
    fn kill(&mut self) {
        self.0.kill().expect("it runs, or has been waited for");
        self.0.wait().expect("it ended");
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.kill();
    }
}

fn child(stack: &Stack) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "a_sink_in_a_process_of_its_own", "--ignored"])
        .env(
            CHILD,
            format!("{} {} {}", stack.brokers, stack.prefix, stack.database),
        )
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("this test runs again")
}

#[test]
#[ignore = "what the test that kills sinks starts"]
fn a_sink_in_a_process_of_its_own() {
    let Ok(arguments) = std::env::var(CHILD) else {
        return;
    };
    let [brokers, prefix, database] = arguments.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{arguments}")
    };
    let stack = Stack::of(brokers, prefix, database);
    let (health, _) = channel();
    let sink = Running::start(&stack, &stack.url, health);
    std::mem::forget(stack);
    sink.thread.join().expect("until it is killed");
}

fn run_of(writer: scans::WriterKey, scans: u64) -> Run {
    Run {
        writer,
        first: 0,
        last: scans - 1,
    }
}
