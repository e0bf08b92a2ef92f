//! A steady load: phones that scan again and again at an even pace while something is broken, each scan recognisable.
//!
//! A phone whose connection closes before any byte of an answer may ask once more (RFC 9112 §9.3.1), at the next edge; that is
//! what browsers and load balancers do. Anything else that is not the right answer has failed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::deployment::load::{Attempt, Connection, Sent};

/// Phones, each with a connection of its own.
pub const PHONES: usize = 16;
/// From one scan of a phone to its next, where nothing else is said: 16 phones make 1,600 scans a second.
const PACE: Duration = Duration::from_millis(10);

/// A load under way.
pub struct Steady {
    phones: JoinSet<Scanned>,
    ended: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

/// What a load did.
#[derive(Default)]
pub struct Scanned {
    /// By number, for the comparison with what is stored.
    pub sent: Sent,
    /// When each scan began and how long its answer took.
    latencies: Vec<(Instant, Duration)>,
}

impl Steady {
    /// Starts to scan a code of the default domain at these edges.
    pub fn start(edges: &[SocketAddr], code: &str) -> Self {
        Self::start_on(edges, &edges[0].to_string(), code)
    }

    /// Starts to scan a code of this domain at these edges.
    pub fn start_on(edges: &[SocketAddr], host: &str, code: &str) -> Self {
        Self::start_at(PACE, edges, host, code)
    }

    /// The same, with so much from one scan of a phone to its next.
    pub fn start_at(pace: Duration, edges: &[SocketAddr], host: &str, code: &str) -> Self {
        let host = Arc::<str>::from(host);
        let (ended, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let numbers = Arc::<AtomicU64>::default();
        let mut phones = JoinSet::new();
        for phone in 0..PHONES {
            let mut edges = edges.to_vec();
            let first = phone % edges.len();
            edges.rotate_left(first);
            let phone = Phone {
                pace,
                edges,
                host: Arc::clone(&host),
                code: code.to_owned(),
                ended: Arc::clone(&ended),
                answered: Arc::clone(&answered),
                numbers: Arc::clone(&numbers),
            };
            phones.spawn(phone.run());
        }
        Self {
            phones,
            ended,
            answered,
        }
    }

    /// Waits until so many more scans have been answered, so that what follows falls into the load and not before it.
    pub async fn goes_on(&self, scans: u64) -> anyhow::Result<()> {
        let wanted = self.answered() + scans;
        let deadline = Instant::now() + crate::support::DEADLINE;
        while self.answered() < wanted {
            ensure!(Instant::now() < deadline, "the load has come to a stop");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// How many scans have been answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load, and tells what it did.
    pub async fn finish(mut self) -> Scanned {
        self.ended.store(true, Ordering::Relaxed);
        let mut all = Scanned::default();
        while let Some(phone) = self.phones.join_next().await {
            let phone = phone.unwrap();
            all.sent.answered.extend(phone.sent.answered);
            all.sent.unanswered.extend(phone.sent.unanswered);
            all.sent.wrong.extend(phone.sent.wrong);
            all.latencies.extend(phone.latencies);
        }
        all
    }
}

impl Scanned {
    /// The 99th percentile of the scans that began in this time; for people, since other work on the machine is in it.
    pub fn p99(&self, from: Instant, to: Instant) -> Duration {
        let within = self
            .latencies
            .iter()
            .filter(|(at, _)| (from..to).contains(at));
        let mut latencies: Vec<_> = within.map(|(_, took)| *took).collect();
        latencies.sort_unstable();
        latencies
            .get(latencies.len() * 99 / 100)
            .copied()
            .unwrap_or_default()
    }
}

struct Phone {
    pace: Duration,
    /// Its own first.
    edges: Vec<SocketAddr>,
    host: Arc<str>,
    code: String,
    ended: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    numbers: Arc<AtomicU64>,
}

impl Phone {
    async fn run(mut self) -> Scanned {
        let mut scanned = Scanned::default();
        let mut connection = None;
        let mut pace = tokio::time::interval(self.pace);
        // A phone that was kept waiting does not make up for it by a burst.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.ended.load(Ordering::Relaxed) {
            pace.tick().await;
            let began = Instant::now();
            if self.scan(&mut connection, &mut scanned.sent).await {
                self.answered.fetch_add(1, Ordering::Relaxed);
                scanned.latencies.push((began, began.elapsed()));
            }
        }
        scanned
    }

    /// One scan, with its one repetition.
    async fn scan(&mut self, connection: &mut Option<Connection>, sent: &mut Sent) -> bool {
        let mut why = String::new();
        for _ in 0..2 {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let open = match connection.take() {
                Some(open) => open,
                None => match Connection::open_to(self.edges[0], &self.host).await {
                    Ok(open) => open,
                    Err(error) => {
                        why = format!("connecting to {}: {error}", self.edges[0]);
                        self.edges.rotate_left(1);
                        continue;
                    }
                },
            };
            match open.scan(&self.code, number).await {
                Attempt::Answered { again } => {
                    sent.answered.insert(number);
                    *connection = again;
                    return true;
                }
                Attempt::Wrong(head) => {
                    sent.wrong.push(head);
                    return false;
                }
                Attempt::Limited { .. } => {
                    sent.wrong.push("429".to_owned());
                    return false;
                }
                Attempt::Closed => {
                    sent.unanswered.insert(number);
                    why = "closed before any byte of an answer, twice".to_owned();
                    self.edges.rotate_left(1);
                }
                Attempt::BrokenOff => {
                    sent.unanswered.insert(number);
                    sent.wrong.push("an answer was broken off".to_owned());
                    return false;
                }
            }
        }
        sent.wrong.push(why);
        false
    }
}
