//! One assigned partition: its protocol, its timers, and its commands as they are carried out.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use analytics::{ScanStore, Source, StoreError};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::batches::Record;
use crate::blocks::{self, Content};
use crate::consumer::{CommitUnderWay, GroupConsumer};
use crate::protocol::{Command, Event, Protocol};
use crate::{Enricher, SinkMetrics};

/// How long one request to Kafka may hold up the thread.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer of the store or of the group, for the assignment that asked.
pub(crate) struct Answer {
    pub(crate) partition: i32,
    pub(crate) assignment: u64,
    pub(crate) result: Result<Event<Content>, String>,
}

/// What all partitions share.
pub(crate) struct Shared {
    pub(crate) consumer: Arc<GroupConsumer>,
    pub(crate) store: Arc<dyn ScanStore>,
    pub(crate) enricher: Arc<Enricher>,
    pub(crate) metrics: SinkMetrics,
    pub(crate) runtime: Handle,
    pub(crate) answers: Sender<Answer>,
}

pub(crate) struct Partition {
    pub(crate) source: Source,
    pub(crate) assignment: u64,
    pub(crate) protocol: Protocol<Content>,
    pub(crate) end: i64,
    /// Why the last step failed, until one succeeds.
    pub(crate) trouble: Option<String>,
    begin: i64,
    begun: bool,
    failures: u32,
    retry_at: Option<Instant>,
    pending: Vec<Command>,
    /// The first record after a seek lies here; what librdkafka had fetched before is dropped.
    sought: Option<i64>,
    collecting_since: Option<Instant>,
    reading: bool,
    /// What the store is being asked.
    asking: Option<AbortHandle>,
}

impl Drop for Partition {
    /// Nothing more is begun of what the store was asked: another sink is about to have this partition.
    fn drop(&mut self) {
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
    }
}

impl Partition {
    pub(crate) fn new(source: Source, assignment: u64, most_scans: u64) -> Self {
        Self {
            protocol: Protocol::new(source.clone(), most_scans),
            source,
            assignment,
            end: 0,
            trouble: None,
            begin: 0,
            begun: false,
            failures: 0,
            retry_at: None,
            pending: Vec::new(),
            sought: None,
            collecting_since: None,
            reading: false,
            asking: None,
        }
    }

    /// Does what is due: begins, tries again, flushes.
    pub(crate) fn tick(&mut self, shared: &Shared, now: Instant, linger: Duration) {
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        if self.retry_at.take().is_some() {
            for command in std::mem::take(&mut self.pending) {
                self.perform(shared, command);
            }
        }
        if !self.begun {
            match self.begin(shared) {
                Ok(event) => self.handle(shared, event),
                Err(error) => self.failed(
                    format!("cannot ask Kafka where {} stands: {error}", self.source),
                    Vec::new(),
                ),
            }
        }
        if self
            .collecting_since
            .is_some_and(|since| now.duration_since(since) >= linger)
        {
            self.collecting_since = None;
            self.handle(shared, Event::Flush);
        }
    }

    /// Where the group and the log stand.
    fn begin(&mut self, shared: &Shared) -> Result<Event<Content>, KafkaError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.source.topic, self.source.partition);
        let committed = shared.consumer.committed_offsets(asked, PATIENCE)?;
        let (begin, end) = shared.consumer.fetch_watermarks(
            &self.source.topic,
            self.source.partition,
            PATIENCE,
        )?;
        (self.begin, self.end, self.begun) = (begin, end, true);
        let elements = committed.elements();
        let found = elements.first();
        let committed = found.and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        });
        let metadata = found
            .filter(|_| committed.is_some())
            .map(|element| element.metadata().to_owned());
        tracing::info!(partition = %self.source, committed, begin, end, "partition assigned");
        // What lies before the log's begin can't be read any more; what lies beyond its end is of a log that is no more.
        let committed = committed.filter(|offset| *offset <= end);
        Ok(Event::Assigned {
            committed,
            metadata: metadata.unwrap_or_default(),
            end,
        })
    }

    /// Takes in a record.
    pub(crate) fn read(&mut self, shared: &Shared, record: Record<Content>, now: Instant) {
        match self.sought {
            Some(sought) if record.offset < sought => return,
            Some(sought) if record.offset > sought => {
                // Fetched before the seek took hold: what lies between would be skipped.
                self.perform(shared, Command::Seek(Some(sought)));
                return;
            }
            _ => self.sought = None,
        }
        self.end = self.end.max(record.offset + 1);
        self.handle(shared, Event::Read(record));
        if self.protocol.is_collecting() {
            self.collecting_since.get_or_insert(now);
        }
    }

    /// Pauses and resumes, as the protocol and the bound on what all hold want it.
    pub(crate) fn steer(&mut self, shared: &Shared, room: bool) {
        let reading =
            self.begun && self.retry_at.is_none() && self.protocol.wants_records() && room;
        if reading == self.reading {
            return;
        }
        let mut this = TopicPartitionList::new();
        this.add_partition(&self.source.topic, self.source.partition);
        let done = if reading {
            shared.consumer.resume(&this)
        } else {
            shared.consumer.pause(&this)
        };
        match done {
            Ok(()) => self.reading = reading,
            // Tried again at the next turn.
            Err(error) => {
                tracing::debug!(partition = %self.source, "cannot pause or resume: {error}")
            }
        }
    }

    /// The store or the group answered.
    pub(crate) fn answered(&mut self, shared: &Shared, result: Result<Event<Content>, String>) {
        match result {
            Ok(event) => {
                if let Event::Counted(counted) = &event
                    && counted.rows > counted.scans
                {
                    let surplus = counted.rows - counted.scans;
                    shared.metrics.duplicates.inc_by(surplus);
                    tracing::error!(partition = %self.source, surplus, "the store holds scans more than once");
                }
                self.succeeded();
                self.handle(shared, event);
            }
            Err(reason) => {
                shared.metrics.retries.inc();
                let commands = self.protocol.handle(Event::Failed);
                self.failed(reason, commands);
            }
        }
    }

    fn handle(&mut self, shared: &Shared, event: Event<Content>) {
        for command in self.protocol.handle(event) {
            self.perform(shared, command);
        }
        if self.protocol.take_intent_differs() {
            tracing::warn!(partition = %self.source, "an earlier sink's block was of other scans; every scan is looked up");
        }
        if let Some(settled) = self.protocol.take_settled() {
            shared.metrics.rows.inc_by(settled.scans);
            shared.metrics.deduplicated.inc_by(settled.replayed);
            shared.metrics.dead.inc_by(settled.unreadable);
            if settled.unreadable > 0 {
                tracing::warn!(partition = %self.source, records = settled.unreadable, "unreadable records set aside in scans_dead");
            }
        }
    }

    fn perform(&mut self, shared: &Shared, command: Command) {
        match command {
            Command::Seek(from) => {
                let offset = from.unwrap_or(self.begin).max(self.begin);
                let place = Offset::Offset(offset);
                match shared.consumer.seek(
                    &self.source.topic,
                    self.source.partition,
                    place,
                    PATIENCE,
                ) {
                    Ok(()) => self.sought = Some(offset),
                    Err(error) => {
                        let reason =
                            format!("cannot read {} from offset {offset}: {error}", self.source);
                        self.failed(reason, vec![Command::Seek(from)]);
                    }
                }
            }
            Command::Commit { offset, metadata } => self.commit(shared, offset, metadata),
            Command::Load { up_to } => {
                let source = self.source.clone();
                self.ask(shared, async move |store| {
                    store
                        .load_positions(&source, up_to)
                        .await
                        .map(Event::Loaded)
                });
            }
            Command::EndInserts => {
                let source = self.source.clone();
                self.ask(shared, async move |store| {
                    store
                        .end_inserts(&source)
                        .await
                        .map(|()| Event::InsertsEnded)
                });
            }
            Command::Count(runs) => self.ask(shared, async move |store| {
                store.count(&runs).await.map(Event::Counted)
            }),
            Command::Find(runs) => self.ask(shared, async move |store| {
                store.stored(&runs).await.map(Event::Found)
            }),
            Command::Insert { token, only } => {
                let Some(batches) = self.protocol.in_flight() else {
                    return;
                };
                let block =
                    blocks::block(&self.source, batches, token, &only, &shared.enricher, None);
                self.ask(shared, async move |store| {
                    store.insert(&block).await.map(|()| Event::Inserted)
                });
            }
        }
    }

    /// Commits on a thread of its own: librdkafka waits without a bound while there is no coordinator, and polling must go on. (An
    /// asynchronous commit would not do: with events instead of callbacks, librdkafka 2.12 tells nobody what became of it.)
    fn commit(&mut self, shared: &Shared, offset: i64, metadata: String) {
        let (consumer, answers) = (Arc::clone(&shared.consumer), shared.answers.clone());
        let (source, assignment) = (self.source.clone(), self.assignment);
        let under_way = CommitUnderWay::begin(Arc::clone(&consumer), source.partition);
        let commit = move || {
            let mut list = TopicPartitionList::new();
            list.add_partition(&source.topic, source.partition)
                .set_metadata(metadata);
            let result = list
                .set_partition_offset(&source.topic, source.partition, Offset::Offset(offset))
                .and_then(|()| consumer.commit(&list, CommitMode::Sync))
                .map(|()| Event::Committed)
                .map_err(|error| format!("cannot commit offset {offset} of {source}: {error}"));
            drop(under_way);
            // Nobody listens any more: the sink has ended.
            let _ = answers.send(Answer {
                partition: source.partition,
                assignment,
                result,
            });
        };
        if let Err(error) = std::thread::Builder::new()
            .name("sink-commit".to_owned())
            .spawn(commit)
        {
            let commands = self.protocol.handle(Event::Failed);
            self.failed(
                format!("cannot start a thread for a commit: {error}"),
                commands,
            );
        }
    }

    /// Asks the store on the runtime; the answer comes back through the channel.
    fn ask<Q, A>(&mut self, shared: &Shared, question: Q)
    where
        Q: FnOnce(Arc<dyn ScanStore>) -> A + Send + 'static,
        A: Future<Output = Result<Event<Content>, StoreError>> + Send,
    {
        let (store, answers) = (Arc::clone(&shared.store), shared.answers.clone());
        let (partition, assignment) = (self.source.partition, self.assignment);
        let asking = shared.runtime.spawn(async move {
            let result = question(store).await.map_err(|error| error.to_string());
            // Nobody listens any more: the sink has ended, and whoever comes next asks again.
            let _ = answers.send(Answer {
                partition,
                assignment,
                result,
            });
        });
        self.asking = Some(asking.abort_handle());
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        if self.trouble.take().is_some() {
            tracing::info!(partition = %self.source, "the sink goes on");
        }
    }

    fn failed(&mut self, reason: String, again: Vec<Command>) {
        self.failures += 1;
        if self.trouble.is_none() {
            tracing::warn!(partition = %self.source, "{reason}; tried again until it succeeds, nothing is skipped");
        }
        self.trouble = Some(reason);
        self.pending = again;
        // 0.1 s to 5 s.
        let pause = Duration::from_millis(100 << self.failures.min(6)).min(Duration::from_secs(5));
        self.retry_at = Some(Instant::now() + pause);
    }
}
