//! Reads the partitions, each on one of a few threads, which decode: the first reading of a large journal is mostly decoding.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::Offset;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use tags::{Change, Topic};

use super::client::Listener;
use super::post::Post;
use crate::{Event, JournalMetrics};

/// More than two readers wait for the one that applies.
const MOST: usize = 2;
/// Records handed over at a time, at most.
const BATCH: usize = 256;
/// Bytes of records handed over at a time, give or take a record. A few batches lie in the channel.
const BATCH_BYTES: usize = 1024 * 1024;
/// How long to sleep at most before the queues are looked at again, in case one filled up without saying so.
const LOOK: Duration = Duration::from_secs(1);

/// What came out of one partition.
pub(crate) struct Batch {
    pub(crate) topic: Topic,
    pub(crate) partition: i32,
    pub(crate) items: Vec<Item>,
}

/// One thing that came out of a partition.
pub(crate) enum Item {
    /// A record.
    Record(Event),
    /// Nothing more lies there now; the position, where it is known.
    End(Option<i64>),
    /// What librdkafka says.
    Error(KafkaError),
}

/// The threads. They end when this is dropped, as soon as they notice.
pub(crate) struct Readers {
    desks: Vec<Arc<Desk>>,
    threads: Vec<JoinHandle<()>>,
    turn: usize,
}

/// A partition to be read.
pub(crate) struct Queue {
    pub(crate) topic: Topic,
    pub(crate) name: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) queue: PartitionQueue<Listener>,
    pub(crate) consumer: Arc<BaseConsumer<Listener>>,
}

/// Where a thread sleeps, and what wakes it.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    /// Relaxed: it is only asked between batches, and who ends says so under the lock too.
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Something is in a queue.
    filled: bool,
    new: Vec<Queue>,
}

impl Readers {
    pub(crate) fn start(
        batches: &SyncSender<Batch>,
        post: &Arc<Post>,
        metrics: &JournalMetrics,
    ) -> std::io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let (mut desks, mut started) = (Vec::new(), Vec::new());
        for _ in 0..threads.min(MOST) {
            let desk = Arc::new(Desk::default());
            let reader = Reader {
                desk: Arc::clone(&desk),
                batches: batches.clone(),
                post: Arc::clone(post),
                metrics: metrics.clone(),
            };
            let thread = thread::Builder::new()
                .name("journal-reader".into())
                .spawn(move || reader.run())?;
            started.push(thread);
            desks.push(desk);
        }
        Ok(Self {
            desks,
            threads: started,
            turn: 0,
        })
    }

    /// Whether one of the threads has ended, which only a panic can have done: its partitions are read by nobody.
    pub(crate) fn has_lost_one(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends one of the threads, as a panic would.
    #[cfg(test)]
    pub(crate) fn lose_one(&self) {
        self.desks[0].ended.store(true, Ordering::Relaxed);
        self.desks[0].wake(|state| state.filled = true);
    }

    /// Gives a partition to the next thread.
    pub(crate) fn read(&mut self, mut queue: Queue) {
        let desk = Arc::clone(&self.desks[self.turn % self.desks.len()]);
        self.turn += 1;
        let waker = Arc::downgrade(&desk);
        queue.queue.set_nonempty_callback(move || {
            if let Some(desk) = waker.upgrade() {
                desk.wake(|state| state.filled = true);
            }
        });
        desk.wake(|state| state.new.push(queue));
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for desk in &self.desks {
            desk.ended.store(true, Ordering::Relaxed);
            desk.wake(|state| state.filled = true);
        }
    }
}

impl Desk {
    fn wake(&self, say: impl FnOnce(&mut State)) {
        say(&mut self.lock());
        self.changed.notify_one();
    }

    /// Waits for something to read, and takes the partitions that are new.
    fn wait(&self) -> Vec<Queue> {
        let idle = |state: &mut State| !state.filled && state.new.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), LOOK, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.filled = false;
        std::mem::take(&mut state.new)
    }

    /// Nothing is left half-done under this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reader {
    desk: Arc<Desk>,
    batches: SyncSender<Batch>,
    post: Arc<Post>,
    metrics: JournalMetrics,
}

impl Reader {
    fn run(&self) {
        let mut queues = Vec::new();
        loop {
            queues.extend(self.desk.wait());
            // Round after round, so that no partition starves another, until all are empty.
            loop {
                let mut any = false;
                for queue in &queues {
                    if self.desk.ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let batch = self.take(queue);
                    if batch.items.is_empty() {
                        continue;
                    }
                    any = true;
                    if self.batches.send(batch).is_err() {
                        return;
                    }
                    self.post.announce_message();
                }
                if !any {
                    break;
                }
            }
            if self.desk.ended.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// What lies in a partition's queue now.
    fn take(&self, queue: &Queue) -> Batch {
        let mut batch = Batch {
            topic: queue.topic,
            partition: queue.partition,
            items: Vec::new(),
        };
        let mut bytes = 0;
        while batch.items.len() < BATCH && bytes < BATCH_BYTES {
            let item = match queue.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    bytes += message.payload_len() + message.key_len();
                    Item::Record(self.decode(queue.topic, &message))
                }
                Some(Err(KafkaError::PartitionEOF(_))) => Item::End(queue.position()),
                Some(Err(error)) => Item::Error(error),
            };
            batch.items.push(item);
        }
        batch
    }

    fn decode(&self, topic: Topic, message: &BorrowedMessage<'_>) -> Event {
        let place = (topic, message.partition(), message.offset());
        let (change, published_at) = (change(topic, message), published_at(message));
        Event::of_record(place, change, published_at, &self.metrics)
    }
}

impl Queue {
    /// Transaction markers may lie between the last record and the end.
    fn position(&self) -> Option<i64> {
        let position = match self.consumer.position() {
            Ok(position) => position,
            Err(error) => {
                tracing::debug!(topic = &*self.name, %error, "asking for the position");
                return None;
            }
        };
        let element = position.find_partition(&self.name, self.partition)?;
        match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }
}

fn change(topic: Topic, message: &BorrowedMessage<'_>) -> Result<Change, String> {
    let key = message.key().ok_or("the record has no key")?;
    let key = str::from_utf8(key).map_err(|error| format!("the key is not text: {error}"))?;
    let value = message
        .payload()
        .ok_or("the record is a tombstone; the journal has none")?;
    Change::decode(topic, key, value).map_err(|error| error.to_string())
}

fn published_at(message: &BorrowedMessage<'_>) -> Result<Timestamp, String> {
    let millis = message
        .timestamp()
        .to_millis()
        .ok_or("the record has no time")?;
    Timestamp::from_millisecond(millis).map_err(|error| error.to_string())
}
