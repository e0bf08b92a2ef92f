//! Scans through a real Kafka: each arrives once by its identity, in its writer's one partition, in a topic with its policy.

mod collecting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use collecting::{drain, open, scan};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, Timestamp, TopicPartitionList};
use scans::{
    KafkaOutlet, KafkaOutletOptions, ScanBatch, ScanLog, ScanLogOptions, Shipper, ShipperOptions,
};

fn brokers() -> String {
    std::env::var("TAGWIRE_TEST_KAFKA")
        .expect("TAGWIRE_TEST_KAFKA names no broker: start the tests by `tests/run`")
}

/// A prefix of this test's own.
fn options(test: &str) -> KafkaOutletOptions {
    let number = getrandom::u64().expect("random numbers");
    KafkaOutletOptions {
        partitions: 3,
        ..KafkaOutletOptions::new(brokers(), format!("test-{test}-{number:x}."))
    }
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false");
    config
}

/// All batches of the topic, with their partitions, up to the ends that it has now.
fn read_topic(topic: &str, partitions: i32) -> Result<Vec<(i32, ScanBatch)>> {
    read_topic_at(&brokers(), topic, partitions)
}

fn read_topic_at(brokers: &str, topic: &str, partitions: i32) -> Result<Vec<(i32, ScanBatch)>> {
    let consumer: BaseConsumer = config().set("bootstrap.servers", brokers).create()?;
    let mut list = TopicPartitionList::new();
    let mut left = 0;
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
        left += consumer
            .fetch_watermarks(topic, partition, Duration::from_secs(20))?
            .1;
    }
    consumer.assign(&list)?;
    let (mut batches, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    while left > 0 {
        ensure!(Instant::now() < deadline, "{left} batches did not come");
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            continue;
        };
        let message = message?;
        ensure!(
            matches!(message.timestamp(), Timestamp::LogAppendTime(_)),
            "the broker's time"
        );
        batches.push((
            message.partition(),
            ScanBatch::decode(message.payload().context("a value")?)?,
        ));
        left -= 1;
    }
    Ok(batches)
}

#[test]
fn twenty_thousand_scans_of_two_writers_arrive_once_each() -> Result<()> {
    let (hot, options) = (tempfile::tempdir()?, options("ship"));
    let log = ScanLog::open(
        &ScanLogOptions::new("edge-1", hot.path()),
        &prometheus::Registry::new(),
    )?;
    let outlet = KafkaOutlet::new(&options)?;
    let shipper = Shipper::start(
        Arc::clone(&log),
        Box::new(outlet),
        ShipperOptions::default(),
    )?;
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let mut writer = log.writer();
            std::thread::spawn(move || {
                let appended =
                    (0..10_000).filter_map(|n| writer.append(&scan(&format!("c{n}"))).ok());
                let seqs: Vec<u64> = appended.collect();
                seqs.into_iter()
                    .map(|seq| writer.key().scan(seq))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let expected: BTreeSet<_> = threads
        .into_iter()
        .flat_map(|thread| thread.join().expect("ends"))
        .collect();
    let ledger = drain(shipper);
    assert_eq!(
        (expected.len(), ledger.accepted, ledger.acknowledged),
        (20_000, 20_000, 20_000)
    );

    let (mut arrived, mut partitions) = (BTreeSet::new(), BTreeMap::new());
    for (partition, batch) in read_topic(&format!("{}scans", options.prefix), 3)? {
        assert!(batch.refused.is_empty());
        partitions
            .entry(batch.writer.clone())
            .or_insert_with(BTreeSet::new)
            .insert(partition);
        for scan in &batch.scans {
            assert!(
                arrived.insert(batch.writer.scan(scan.seq)),
                "{} twice",
                batch.writer.scan(scan.seq)
            );
        }
    }
    assert_eq!(arrived, expected);
    assert_eq!(partitions.len(), 2);
    assert!(
        partitions.values().all(|partitions| partitions.len() == 1),
        "{partitions:?}"
    );
    Ok(())
}

#[test]
fn the_topic_is_created_with_its_policy() -> Result<()> {
    let (hot, options) = (tempfile::tempdir()?, options("policy"));
    let log = open(hot.path());
    log.writer().append(&scan("a"))?;
    drain(Shipper::start(
        log,
        Box::new(KafkaOutlet::new(&options)?),
        ShipperOptions::default(),
    )?);
    let admin: AdminClient<DefaultClientContext> = config().create()?;
    let topic = format!("{}scans", options.prefix);
    let resource = [ResourceSpecifier::Topic(&topic)];
    let asked = AdminOptions::new();
    let described = admin.describe_configs(&resource, &asked);
    let described = block_on(described)?
        .into_iter()
        .next()
        .context("an answer")?
        .map_err(|code| anyhow::anyhow!("{code}"))?;
    for (key, value) in [
        ("cleanup.policy", "delete"),
        ("retention.ms", "604800000"),
        ("message.timestamp.type", "LogAppendTime"),
    ] {
        assert_eq!(
            described.get(key).and_then(|entry| entry.value.as_deref()),
            Some(value),
            "{key}"
        );
    }
    Ok(())
}

#[test]
fn a_batch_that_kafka_finds_too_large_is_set_aside_and_the_rest_arrives() -> Result<()> {
    let (hot, mut options) = (tempfile::tempdir()?, options("large"));
    options
        .options
        .insert("message.max.bytes".into(), "1000".into()); // the least that librdkafka takes
    let log = open(hot.path());
    let mut writer = log.writer();
    let long = "x".repeat(64);
    let many: Vec<u64> = (0..20)
        .filter_map(|_| writer.append(&scan(&long)).ok())
        .collect();
    let shipper = ShipperOptions {
        batch_bytes: 4_000,
        ..ShipperOptions::default()
    };
    let running = Shipper::start(
        Arc::clone(&log),
        Box::new(KafkaOutlet::new(&options)?),
        shipper,
    )?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while log.ledger().waiting() > 0 {
        ensure!(Instant::now() < deadline, "{:?}", log.ledger());
        std::thread::park_timeout(Duration::from_millis(10));
    }
    writer.append(&scan("small"))?;
    let ledger = drain(running);
    assert_eq!(
        (ledger.dropped, ledger.acknowledged),
        ([0, 0, many.len() as u64, 0], 1)
    );
    Ok(())
}

#[test]
fn a_broker_that_is_not_there_is_waited_for_and_nothing_is_lost() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let away = KafkaOutletOptions {
        brokers: free.to_string(),
        ..options("away")
    };
    let log = open(hot.path());
    let mut writer = log.writer();
    let key = writer.key().clone();
    for _ in 0..100 {
        writer.append(&scan("a"))?;
    }
    let shipper = Shipper::start(
        Arc::clone(&log),
        Box::new(KafkaOutlet::new(&away)?),
        ShipperOptions::default(),
    )?;
    let ledger = shipper.drain(Instant::now() + Duration::from_secs(1));
    assert_eq!((ledger.accepted, ledger.waiting()), (100, 100));
    drop((writer, log));

    let there = KafkaOutletOptions {
        brokers: brokers(),
        ..away
    };
    let ledger = drain(Shipper::start(
        open(hot.path()),
        Box::new(KafkaOutlet::new(&there)?),
        ShipperOptions::default(),
    )?);
    assert_eq!((ledger.adopted, ledger.acknowledged), (100, 100));
    let batches = read_topic(&format!("{}scans", there.prefix), 3)?;
    let seqs: Vec<u64> = batches
        .iter()
        .flat_map(|(_, batch)| batch.scans.iter().map(|scan| scan.seq))
        .collect();
    assert_eq!(seqs, (0..100).collect::<Vec<_>>());
    assert!(batches.iter().all(|(_, batch)| batch.writer == key));
    Ok(())
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        {
            return output;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn settings_that_librdkafka_does_not_know_are_refused() -> Result<()> {
    let mut options = options("settings");
    options.options.insert("no.such.setting".into(), "1".into());
    match KafkaOutlet::new(&options) {
        Ok(_) => bail!("accepted"),
        Err(error) => assert!(error.to_string().contains("no.such.setting"), "{error}"),
    }
    Ok(())
}

/// A broker of this test's own, which it may kill.
struct Broker(tempfile::TempDir);

impl Broker {
    fn run(&self, what: &str) -> Result<()> {
        let script =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stack/kafka");
        let status = std::process::Command::new(script)
            .arg(what)
            .arg(self.0.path())
            .status()?;
        ensure!(
            status.success(),
            "tests/stack/kafka {what} failed: run the tests by `tests/run`, which downloads Kafka"
        );
        Ok(())
    }

    fn start() -> Result<(Self, String)> {
        let broker = Self(tempfile::tempdir()?);
        broker.run("start")?;
        let port = std::fs::read_to_string(broker.0.path().join("kafka/port"))?;
        Ok((broker, format!("127.0.0.1:{}", port.trim())))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = self.run("kill") {
            println!("{error}");
        }
    }
}

#[test]
fn a_broker_that_is_killed_and_comes_back_has_every_scan_once() -> Result<()> {
    let (broker, address) = Broker::start()?;
    let hot = tempfile::tempdir()?;
    let log = ScanLog::open(
        &ScanLogOptions::new("edge-1", hot.path()),
        &prometheus::Registry::new(),
    )?;
    let options = KafkaOutletOptions {
        brokers: address.clone(),
        ..options("killed")
    };
    let shipper = Shipper::start(
        Arc::clone(&log),
        Box::new(KafkaOutlet::new(&options)?),
        ShipperOptions::default(),
    )?;
    let enough = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (mut writer, enough) = (log.writer(), Arc::clone(&enough));
            std::thread::spawn(move || {
                let mut seqs = Vec::new();
                while !enough.load(std::sync::atomic::Ordering::Relaxed) {
                    seqs.extend((0..20).filter_map(|_| writer.append(&scan("killed")).ok()));
                    std::thread::park_timeout(Duration::from_millis(4)); // the load: 5,000 a second
                }
                seqs.into_iter()
                    .map(|seq| writer.key().scan(seq))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while log.ledger().acknowledged < 5_000 {
        ensure!(Instant::now() < deadline, "{:?}", log.ledger());
        std::thread::park_timeout(Duration::from_millis(1));
    }
    broker.run("kill")?;
    let waiting = log.ledger().waiting();
    while log.ledger().waiting() < waiting + 5_000 {
        ensure!(Instant::now() < deadline, "{:?}", log.ledger());
        std::thread::park_timeout(Duration::from_millis(1));
    }
    broker.run("start")?;
    enough.store(true, std::sync::atomic::Ordering::Relaxed);
    let expected: BTreeSet<_> = threads
        .into_iter()
        .flat_map(|thread| thread.join().expect("ends"))
        .collect();
    let ledger = drain(shipper);
    assert_eq!(
        (ledger.accepted, ledger.acknowledged),
        (expected.len() as u64, expected.len() as u64)
    );
    let mut arrived = BTreeSet::new();
    for (_, batch) in read_topic_at(&address, &format!("{}scans", options.prefix), 3)? {
        for scan in &batch.scans {
            assert!(
                arrived.insert(batch.writer.scan(scan.seq)),
                "{} twice",
                batch.writer.scan(scan.seq)
            );
        }
    }
    assert_eq!(arrived, expected);
    Ok(())
}
