//! No scanner's full address is kept, and no salt but where salts are: both are looked for, as text and as bytes, in everything that the
//! processes have written anywhere.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use journal::{KafkaJournal, KafkaOptions, Salt, Salts, SaltsEvent, SqliteJournal};
use memchr::memmem;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use reqwest::StatusCode;
use serde_json::json;

use crate::deployment::client::{Api, leads_to};
use crate::deployment::{Deployment, Shape, stored};
use crate::support::{DEADLINE, client};

/// That of every phone of all these cases, and that of one more.
const ADDRESSES: [&str; 2] = ["80.128.1.1", "2001:db8:77aa:bbcc:ddee:ff11:2233:4455"];
/// What is kept of them.
const NETWORKS: [&str; 2] = ["80.128.1.0/24", "2001:db8:77aa::/48"];
/// What is said in the scans that are looked for, so that it is known that one looks where they are.
const MARK: &str = "a-phone-that-is-looked-for";

/// Something that was written, and where.
struct Written {
    place: String,
    content: Vec<u8>,
}

pub async fn no_full_address_of_a_scanner_is_kept_and_no_salt_but_in_its_place(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    deployment.salted().await?;
    let tag = json!({"code": "private", "destination": "https://example.com/private"});
    api.post("/tags", tag).await?;
    leads_to(deployment, "private", "https://example.com/private").await?;
    for edge in deployment.redirects() {
        for address in ADDRESSES {
            // What is answered, what is refused, and what nobody has made.
            for (path, user_agent) in [
                ("private", MARK),
                ("private//", MARK),
                ("nobody-made", MARK),
            ] {
                let scan = client().get(format!("http://{edge}/{path}"));
                let scan = scan.header("User-Agent", user_agent);
                scan.header("X-Forwarded-For", address).send().await?;
            }
            let post = client().post(format!("http://{edge}/private"));
            let refused = post.header("X-Forwarded-For", address).send().await?;
            ensure!(refused.status() == StatusCode::METHOD_NOT_ALLOWED);
        }
    }
    let scans = deployment.redirects().len() * (1 + ADDRESSES.len());
    deployment.delivered().await?;
    stored::exactly(deployment, "private", scans).await?;

    let mut written = files(deployment)?;
    for node in deployment.nodes() {
        written.push(Written {
            place: format!("the log of {}", node.role()),
            content: node.log().into_bytes(),
        });
    }
    if deployment.shape() == Shape::Cluster {
        written.extend(topics(deployment)?);
        written.extend(tables(deployment).await?);
    }

    let needles: Vec<(&str, Vec<u8>)> = ADDRESSES
        .into_iter()
        .flat_map(|address| forms(address).map(move |form| (address, form)))
        .collect();
    for Written { place, content } in &written {
        for (address, form) in &needles {
            let found = memmem::find(content, form);
            ensure!(
                found.is_none(),
                "{place} holds {address}, at {found:?}, as {form:?}"
            );
        }
    }
    let salts = tokio::task::block_in_place(|| salts(deployment))?;
    let own_place = match deployment.shape() {
        Shape::Standalone => "journal.sqlite",
        Shape::Cluster => "topic salts",
    };
    for salt in &salts {
        for form in salt_forms(salt) {
            let mut holds = written
                .iter()
                .filter(|it| memmem::find(&it.content, &form).is_some());
            let elsewhere = holds.find(|it| !it.place.contains(own_place));
            let elsewhere = elsewhere.map(|it| &it.place);
            ensure!(elsewhere.is_none(), "a salt lies in {elsewhere:?}");
        }
        let mut own = written.iter().filter(|it| it.place.contains(own_place));
        let there = own.any(|it| memmem::find(&it.content, salt.secret()).is_some());
        ensure!(there, "no salt in {own_place}: it was not looked through");
    }
    // What is looked through holds the scans, and of their addresses the networks.
    let places = match deployment.shape() {
        Shape::Standalone => &["scans.sqlite"][..],
        Shape::Cluster => &["topic scans", "table scans"],
    };
    for place in places {
        let holds = |text: &str| {
            let mut there = written.iter().filter(|it| it.place.contains(place));
            there.any(|it| memmem::find(&it.content, text.as_bytes()).is_some())
        };
        ensure!(holds(MARK), "no scan in {place}: it was not looked through");
        // In the topic as bytes.
        let kept = *place == "topic scans" || NETWORKS.into_iter().all(holds);
        ensure!(kept, "the networks are not in {place}");
    }
    Ok(())
}

/// All that there are.
fn salts(deployment: &Deployment) -> anyhow::Result<Vec<Salt>> {
    let place: Box<dyn Salts> = match deployment.shape() {
        Shape::Standalone => {
            let file = deployment.sqlite().with_file_name("journal.sqlite");
            Box::new(SqliteJournal::open(&file)?)
        }
        Shape::Cluster => Box::new(KafkaJournal::new(KafkaOptions {
            prefix: deployment.kafka_prefix().to_owned(),
            ..KafkaOptions::new(deployment.kafka())
        })?),
    };
    let (mut follower, mut salts) = (place.follow_salts()?, Vec::new());
    let deadline = Instant::now() + DEADLINE;
    loop {
        match follower.next(Duration::from_millis(200))? {
            Some(SaltsEvent::Salt(salt)) => salts.push(salt),
            Some(SaltsEvent::CaughtUp) => break,
            _ => ensure!(Instant::now() < deadline, "no end of the salts"),
        }
    }
    ensure!(salts.len() >= 8, "{} salts", salts.len());
    Ok(salts)
}

/// As bytes, each of its words too, and as digits.
fn salt_forms(salt: &Salt) -> Vec<Vec<u8>> {
    let secret = salt.secret();
    let (one, other) = secret.split_at(8);
    let hex = format!("{:032x}", u128::from_be_bytes(*secret));
    let words = [one, other].map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let decimal = words.map(|word| word.to_string().into_bytes());
    let bytes = [one.to_vec(), other.to_vec(), hex.into_bytes()];
    bytes.into_iter().chain(decimal).collect()
}

/// As text, as bytes, and as digits.
fn forms(address: &str) -> impl Iterator<Item = Vec<u8>> + use<> {
    let parsed: IpAddr = address.parse().unwrap();
    // Four bytes alone are in many a large file: with the length before them, as Protobuf has it, or mapped to IPv6.
    let bytes = match parsed {
        IpAddr::V4(v4) => vec![
            [&[4], &v4.octets()[..]].concat(),
            [&[0xff, 0xff], &v4.octets()[..]].concat(),
        ],
        IpAddr::V6(v6) => vec![v6.octets().to_vec()],
    };
    let digits = match parsed {
        IpAddr::V4(v4) => format!("::ffff:{v4}"),
        IpAddr::V6(v6) => format!("{:032x}", u128::from(v6)),
    };
    bytes
        .into_iter()
        .chain([address.as_bytes().to_vec(), digits.into_bytes()])
}

/// All files, in all folders.
fn files(deployment: &Deployment) -> anyhow::Result<Vec<Written>> {
    let mut files = Vec::new();
    for folder in deployment.folders() {
        collect(folder, &mut files)?;
    }
    ensure!(
        files.len() > deployment.nodes().len(),
        "{} files",
        files.len()
    );
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<Written>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.is_file() {
            // One that has been removed meanwhile holds nothing any more.
            let Ok(content) = std::fs::read(&path) else {
                continue;
            };
            let place = path.display().to_string();
            files.push(Written { place, content });
        }
    }
    Ok(())
}

/// All records of all topics, keys and values.
fn topics(deployment: &Deployment) -> anyhow::Result<Vec<Written>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", deployment.kafka())
        .set("group.id", "never-committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_uncommitted");
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(None, DEADLINE)?;
    let mut written = Vec::new();
    for topic in metadata.topics() {
        let Some(name) = topic.name().strip_prefix(deployment.kafka_prefix()) else {
            continue;
        };
        let mut from = TopicPartitionList::new();
        for partition in topic.partitions() {
            from.add_partition_offset(topic.name(), partition.id(), Offset::Beginning)?;
        }
        consumer.assign(&from)?;
        let content = to_the_ends(&consumer, from.count())?;
        let place = format!("topic {name}");
        written.push(Written { place, content });
    }
    ensure!(written.len() >= 3, "{} topics", written.len());
    Ok(written)
}

/// What so many partitions hold.
fn to_the_ends(consumer: &BaseConsumer, mut partitions: usize) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    while partitions > 0 {
        match consumer.poll(DEADLINE).context("no record, and no end")? {
            Ok(record) => {
                for part in [record.key(), record.payload()].into_iter().flatten() {
                    content.extend(part);
                }
            }
            Err(KafkaError::PartitionEOF(_)) => partitions -= 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(content)
}

/// All rows of all tables.
async fn tables(deployment: &Deployment) -> anyhow::Result<Vec<Written>> {
    let (url, database) = deployment.clickhouse();
    let ask = async |query: String| -> anyhow::Result<Vec<u8>> {
        let answer = client().post(url).body(query).send().await?;
        Ok(answer.error_for_status()?.bytes().await?.to_vec())
    };
    let names = format!("SELECT name FROM system.tables WHERE database = '{database}' FORMAT TSV");
    let names = String::from_utf8(ask(names).await?).context("names of tables")?;
    let mut written = Vec::new();
    for name in names.lines() {
        let rows = format!("SELECT * FROM {database}.{name} FORMAT Native");
        written.push(Written {
            place: format!("table {name}"),
            content: ask(rows).await?,
        });
    }
    ensure!(written.len() >= 4, "{} tables", written.len());
    Ok(written)
}
