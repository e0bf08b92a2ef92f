//! Writes tags into the journal as an admin would, in transactions as large as the journal takes them.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use journal::{Edges, Journal, JournalMetrics, KafkaEdges, KafkaJournal, KafkaOptions};
use tags::{
    Change, Code, Destination, Device, Domain, DomainSettings, LanguageTag, Os, Rule, Rules, Tag,
    Targets, Version, When, WorkspaceId,
};

use crate::scan;

/// Tags in one transaction: about 5 MB, below what a group of calls may hold.
const TRANSACTION: u64 = 20_000;
/// Transactions a second when editing.
const EDITS_PER_SECOND: u32 = 20;

#[derive(Args)]
struct Kafka {
    /// Bootstrap servers.
    #[arg(long)]
    brokers: String,
    /// What topics' names begin with.
    #[arg(long)]
    prefix: String,
}

#[derive(Args)]
pub(crate) struct Seed {
    #[command(flatten)]
    kafka: Kafka,
    /// How many tags.
    #[arg(long)]
    tags: u64,
    /// Whether each leads where it does by a rule that the client of these benchmarks meets, and others elsewhere.
    #[arg(long)]
    by_rule: bool,
}

#[derive(Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    kafka: Kafka,
    /// How many tags there are.
    #[arg(long)]
    tags: u64,
    /// Changes a second.
    #[arg(long)]
    rate: u32,
    /// The number of the first tag that is changed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many changes in all, of that tag and those after it.
    #[arg(long)]
    count: u64,
    /// The version that the changed tags get.
    #[arg(long)]
    version: u64,
    /// How many seconds to wait before the first change, once all is ready.
    #[arg(long, default_value_t = 0.0)]
    after: f64,
}

impl Seed {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let now = Timestamp::now();
        self.kafka.write(async |journal| {
            let domain = DomainSettings {
                is_default: true,
                ..DomainSettings::new(Domain::parse(scan::HOST)?, now)
            };
            journal.publish(vec![Change::Domain(domain)]).await?;
            let mut first = 0;
            while first < self.tags {
                let end = self.tags.min(first + TRANSACTION);
                let tags = (first..end).map(|number| {
                    let tag = tag(number, Version::FIRST, now)?;
                    Ok(Change::Tag(if self.by_rule { by_rule(tag)? } else { tag }))
                });
                journal
                    .publish(tags.collect::<anyhow::Result<_>>()?)
                    .await?;
                first = end;
            }
            Ok(())
        })
    }
}

impl Edit {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let version = Version::new(self.version).context("versions begin at 1")?;
        let at_once = u64::from((self.rate / EDITS_PER_SECOND).max(1));
        self.kafka.write(async |journal| {
            // Whoever measures what the changes do begins now, and not while Kafka makes this the writer.
            println!("{}", serde_json::json!({"ready": true}));
            tokio::time::sleep(Duration::from_secs_f64(self.after)).await;
            let started = Instant::now();
            let mut done = 0;
            while done < self.count {
                // All that are due: a commit that took long must not lower the rate.
                let due = (started.elapsed().as_secs_f64() * f64::from(self.rate)) as u64;
                let end = self
                    .count
                    .min(due.clamp(done + at_once, done + TRANSACTION));
                let tags = (self.first + done..self.first + end).map(|number| {
                    tag(number % self.tags, version, Timestamp::now()).map(Change::Tag)
                });
                journal
                    .publish(tags.collect::<anyhow::Result<_>>()?)
                    .await?;
                done = end;
                let due = Duration::from_secs_f64(done as f64 / f64::from(self.rate));
                tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            }
            println!(
                "{}",
                serde_json::json!({"edits": done, "seconds": started.elapsed().as_secs_f64()})
            );
            Ok(())
        })
    }
}

impl Kafka {
    fn write(
        &self,
        job: impl AsyncFnOnce(&KafkaJournal) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let options = KafkaOptions {
            prefix: self.prefix.clone(),
            ..KafkaOptions::new(&self.brokers)
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            // What the admin does first: edges report there what they have applied.
            KafkaEdges::new(options.clone(), JournalMetrics::unregistered())
                .prepare()
                .await?;
            let journal = KafkaJournal::new(options)?;
            journal.become_writer().await?;
            job(&journal).await
        })
    }
}

fn tag(number: u64, version: Version, at: Timestamp) -> anyhow::Result<Tag> {
    let tag = Tag::new(
        WorkspaceId::default_workspace(),
        Domain::parse(scan::HOST)?,
        Code::parse(&scan::code(number))?,
        Destination::parse(&scan::destination(number))?,
        at,
    );
    Ok(Tag {
        version,
        updated_by: "benchmark".to_owned(),
        ..tag
    })
}

/// The tag as it is for iPhones whose owners read German, and leading elsewhere for everybody else.
fn by_rule(tag: Tag) -> anyhow::Result<Tag> {
    let rule = Rule {
        name: "German iPhones".to_owned(),
        when: When {
            device: vec![Device::Mobile],
            os: vec![Os::Ios],
            language: vec![LanguageTag::parse("de")?],
            ..When::default()
        },
        to: Targets::One(tag.destination),
    };
    Ok(Tag {
        destination: Destination::parse("https://www.example.com/others")?,
        rules: Rules::new(vec![rule])
            .map_err(|errors| anyhow::anyhow!("a rule is refused: {errors:?}"))?,
        ..tag
    })
}
