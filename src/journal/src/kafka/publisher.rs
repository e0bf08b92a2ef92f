//! Writes the Kafka journal: one transaction per group of calls, whose outcome is always found out and never guessed.

use std::borrow::Cow;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::client::{Listener, Report};
use super::topics::MAX_MESSAGE_BYTES;
use super::{KafkaOptions, RETRY};
use crate::group_commit::Committer;
use crate::record::Record;
use crate::salts::kafka as salts;
use crate::{Positions, PublishError, Salt, SaltChange};

/// How long the brokers have to take a record before its transaction is given up.
const DELIVERY: Duration = Duration::from_secs(5);
/// How long one attempt to end a transaction waits before it is made again.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How long one attempt to take the transactional id waits; a coordinator that is loading answers within seconds.
const INIT: Duration = Duration::from_secs(10);

/// The transactional producer and what state it is in.
pub(crate) struct KafkaCommitter {
    options: KafkaOptions,
    state: State,
}

enum State {
    /// `become_writer` has not succeeded.
    NotWriter,
    Ready(Transactions),
    /// The last transaction has still to be aborted.
    Aborting(Transactions),
    /// The broker does not know of the transaction that was to be ended, as when it stopped before noting it; still the writer, but
    /// the producer is of no more use.
    Rejoining,
    /// For good, until `become_writer`.
    Fenced(String),
}

type Transactions = ThreadedProducer<Listener>;

/// A record on its way out.
struct Outgoing<'a> {
    topic: String,
    key: Cow<'a, str>,
    /// None: a tombstone.
    value: Option<Cow<'a, [u8]>>,
}

impl KafkaCommitter {
    pub(crate) fn new(options: KafkaOptions) -> Self {
        Self {
            options,
            state: State::NotWriter,
        }
    }

    fn connect(&self) -> Result<Transactions, PublishError> {
        let config = self.options.client(&[
            ("transactional.id", &format!("{}admin", self.options.prefix)),
            // The most that brokers allow unless told otherwise: an outage that outlasts it in mid-transaction costs us the role.
            // It delays nobody: the next writer ends what a dead one left open, and without a writer nothing lies behind it.
            ("transaction.timeout.ms", "900000"),
            ("message.timeout.ms", &DELIVERY.as_millis().to_string()),
            ("message.max.bytes", &MAX_MESSAGE_BYTES.to_string()),
            // The group commit has already waited for company.
            ("linger.ms", "0"),
            // The same key's partition as Java's producer would choose, so that others may write tools.
            ("partitioner", "murmur2_random"),
        ]);
        config
            .create_with_context(Listener::default())
            .map_err(|error| self.unavailable(&error.to_string()))
    }

    fn unavailable(&self, reason: &str) -> PublishError {
        PublishError::Unavailable {
            place: self.options.brokers.clone(),
            reason: reason.to_owned(),
        }
    }

    /// Notes that nothing can be written any more.
    fn fence(&mut self, error: &KafkaError) -> String {
        let reason = format!(
            "Kafka ended our transactional id '{}admin': another process took it, or a transaction was open too long ({error})",
            self.options.prefix
        );
        tracing::error!(
            reason,
            "this process is no longer the writer of the journal"
        );
        self.state = State::Fenced(reason.clone());
        reason
    }

    /// Gives a transaction up, of which nothing will be seen, and says why to who waits.
    fn give_up(&mut self, producer: Transactions, error: &KafkaError) -> PublishError {
        if has_lost_its_transaction(&producer, error) {
            self.state = State::Rejoining;
            return self.unavailable(&error.to_string());
        }
        if is_fatal(error) || producer.client().fatal_error().is_some() {
            return PublishError::Fenced {
                reason: self.fence(error),
            };
        }
        let reason = producer.context().explain(error);
        self.state = State::Aborting(producer);
        self.unavailable(&reason)
    }
}

impl Committer for KafkaCommitter {
    fn become_writer(&mut self, abandoned: &dyn Fn() -> bool) -> Result<(), PublishError> {
        // A producer that has failed cannot be used again, and an earlier one of ours would be fenced like any other.
        self.state = State::NotWriter;
        let producer = self.connect()?;
        loop {
            match producer.init_transactions(INIT) {
                Ok(()) => {
                    self.state = State::Ready(producer);
                    return Ok(());
                }
                Err(error) if is_retriable(&error) && !abandoned() => {
                    let reason = producer.context().explain(&error);
                    tracing::warn!(
                        brokers = self.options.brokers,
                        reason,
                        "waiting for Kafka, to become the journal's writer"
                    );
                    thread::sleep(RETRY);
                }
                Err(error) => {
                    return Err(self.unavailable(&format!("becoming the writer: {error}")));
                }
            }
        }
    }

    fn commit(&mut self, calls: &[Vec<Record>]) -> Result<Vec<Positions>, PublishError> {
        let records = calls.iter().flatten().map(|record| Outgoing {
            topic: self.options.topic(record.topic),
            key: Cow::Borrowed(&record.key),
            value: Some(Cow::Borrowed(&record.value)),
        });
        let records = records.collect::<Vec<_>>();
        let places = self.write(&records)?;
        Ok(positions(calls, &places))
    }

    fn change_salts(&mut self, changes: &[SaltChange]) -> Result<(), PublishError> {
        let topic = salts::topic(&self.options);
        // The values are overwritten behind us; librdkafka's copies are its own matter.
        let encoded = changes.iter().map(|change| match change {
            SaltChange::Publish(salt) => (salt.day(), Some(salt.encode())),
            SaltChange::Destroy(day) => (*day, None),
        });
        let encoded = encoded.collect::<Vec<_>>();
        let outgoing = encoded.iter().map(|(day, value)| Outgoing {
            topic: topic.clone(),
            key: Cow::Owned(Salt::key(*day)),
            value: value.as_ref().map(|value| Cow::Borrowed(value.as_slice())),
        });
        self.write(&outgoing.collect::<Vec<_>>()).map(drop)
    }

    fn settle(&mut self) -> Result<(), PublishError> {
        match std::mem::replace(&mut self.state, State::NotWriter) {
            State::Aborting(producer) => match producer.abort_transaction(RETRY) {
                Ok(()) => {
                    self.state = State::Ready(producer);
                    Ok(())
                }
                Err(error) if is_retriable(&error) => {
                    let reason = producer.context().explain(&error);
                    let told =
                        self.unavailable(&format!("aborting an earlier transaction: {reason}"));
                    self.state = State::Aborting(producer);
                    // Not every retriable error has waited.
                    thread::sleep(Duration::from_millis(100));
                    Err(told)
                }
                Err(error) if has_lost_its_transaction(&producer, &error) => {
                    self.state = State::Rejoining;
                    self.rejoin()
                }
                Err(error) => {
                    self.fence(&error);
                    Ok(())
                }
            },
            State::Rejoining => self.rejoin(),
            other => {
                self.state = other;
                Ok(())
            }
        }
    }
}

impl KafkaCommitter {
    /// Takes the transactional id again with a new producer.
    fn rejoin(&mut self) -> Result<(), PublishError> {
        self.state = State::Rejoining;
        let producer = self.connect()?;
        if let Err(error) = producer.init_transactions(ATTEMPT) {
            let reason = producer.context().explain(&error);
            return Err(self.unavailable(&format!("becoming the writer again: {reason}")));
        }
        tracing::info!(
            "the journal's writer goes on with a new producer, after its last transaction was lost"
        );
        self.state = State::Ready(producer);
        Ok(())
    }

    /// Writes all of these in one transaction, and says where each came to lie.
    fn write(&mut self, records: &[Outgoing<'_>]) -> Result<Vec<(i32, i64)>, PublishError> {
        let producer = match std::mem::replace(&mut self.state, State::NotWriter) {
            State::Ready(producer) => producer,
            State::Fenced(reason) => {
                self.state = State::Fenced(reason.clone());
                return Err(PublishError::Fenced { reason });
            }
            State::Aborting(producer) => {
                self.state = State::Aborting(producer);
                return Err(self.unavailable("an earlier transaction is still being aborted"));
            }
            State::Rejoining => {
                self.state = State::Rejoining;
                return Err(self.unavailable("becoming the writer again"));
            }
            State::NotWriter => return Err(PublishError::NotWriter),
        };
        if records.is_empty() {
            self.state = State::Ready(producer);
            return Ok(Vec::new());
        }
        let places = match send(&producer, records) {
            Ok(places) => places,
            Err(error) => return Err(self.give_up(producer, &error)),
        };
        match end(&producer, |producer| producer.commit_transaction(ATTEMPT)) {
            Ok(()) => {
                self.state = State::Ready(producer);
                Ok(places)
            }
            Err(error) if must_abort(&error) => Err(self.give_up(producer, &error)),
            // The broker may have committed before whatever this is: it is not known, and cannot be asked any more.
            Err(error) if has_lost_its_transaction(&producer, &error) => {
                self.state = State::Rejoining;
                let reason = format!("the broker has lost the transaction: {error}");
                Err(PublishError::InDoubt { reason })
            }
            Err(error) => Err(PublishError::InDoubt {
                reason: self.fence(&error),
            }),
        }
    }
}

/// Begins a transaction and sends everything; returns when the brokers have all of it.
fn send(producer: &Transactions, records: &[Outgoing<'_>]) -> Result<Vec<(i32, i64)>, KafkaError> {
    let listener = producer.context();
    listener.clear_reports();
    producer.begin_transaction()?;
    for (number, record) in records.iter().enumerate() {
        let mut sent = BaseRecord::with_opaque_to(&record.topic, number).key(&*record.key);
        sent.payload = record.value.as_deref();
        producer.send(sent).map_err(|(error, _)| error)?;
    }
    // librdkafka reports every record by then, delivered or not; the rest is for its timers' granularity.
    let reports = listener.take_reports(records.len(), DELIVERY + Duration::from_secs(2));
    let places = in_order(records.len(), reports)?;
    // The commit looks at this count once and then sleeps 100 ms; the last report leaves it a moment after it is heard.
    let deadline = Instant::now() + Duration::from_millis(100);
    while producer.in_flight_count() > 0 && Instant::now() < deadline {
        thread::yield_now();
    }
    Ok(places)
}

fn in_order(sent: usize, reports: Vec<Report>) -> Result<Vec<(i32, i64)>, KafkaError> {
    let mut places = vec![None; sent];
    for (number, place) in reports {
        if let Some(slot) = places.get_mut(number) {
            *slot = Some(place?);
        }
    }
    let all: Option<Vec<_>> = places.into_iter().collect();
    all.ok_or(KafkaError::MessageProduction(
        RDKafkaErrorCode::MessageTimedOut,
    ))
}

/// Ends a transaction, asking again for as long as the outcome is open: a commit whose answer was lost may have happened.
fn end(
    producer: &Transactions,
    attempt: impl Fn(&Transactions) -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    let mut told = false;
    loop {
        match attempt(producer) {
            Err(error) if is_retriable(&error) => {
                if !told {
                    tracing::warn!(%error, "a commit to Kafka is not answered; asking until it is");
                    told = true;
                }
                thread::sleep(Duration::from_millis(100));
            }
            outcome => return outcome,
        }
    }
}

fn positions(calls: &[Vec<Record>], places: &[(i32, i64)]) -> Vec<Positions> {
    let mut places = places.iter();
    calls
        .iter()
        .map(|records| {
            let mut positions = Positions::default();
            for (record, &(partition, offset)) in records.iter().zip(places.by_ref()) {
                positions.advance(record.topic, partition, offset + 1);
            }
            positions
        })
        .collect()
}

fn transaction_error(error: &KafkaError) -> Option<&RDKafkaError> {
    match error {
        KafkaError::Transaction(error) => Some(error),
        _ => None,
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        // The flush before a commit was not done in time.
        KafkaError::Flush(_) => true,
        _ => transaction_error(error).is_some_and(RDKafkaError::is_retriable),
    }
}

fn must_abort(error: &KafkaError) -> bool {
    transaction_error(error).is_some_and(RDKafkaError::txn_requires_abort)
}

/// The coordinator looks at the producer's epoch before it looks at the transaction's state: whoever is told that the state is wrong
/// has not been fenced.
fn has_lost_its_transaction(producer: &Transactions, error: &KafkaError) -> bool {
    let fatal = producer.client().fatal_error().map(|(code, _)| code);
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::InvalidTransactionalState)
        || fatal == Some(RDKafkaErrorCode::InvalidTransactionalState)
}

fn is_fatal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{Fatal, Fenced, InvalidProducerEpoch, ProducerFenced};
    transaction_error(error).is_some_and(RDKafkaError::is_fatal)
        || matches!(
            error.rdkafka_error_code(),
            Some(Fatal | Fenced | InvalidProducerEpoch | ProducerFenced)
        )
}
