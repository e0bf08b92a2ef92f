//! Requests at the times of a schedule (an open loop): one every so many nanoseconds, whether or not earlier ones are answered, over
//! kept-alive connections. Latency counts from the scheduled time, so that a server that stalls is charged for all who would have waited.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};

use crate::answers;
use crate::scan::{Numbers, request};

/// Prepared requests, so that the client spends its time on the schedule.
const PREPARED: usize = 20_000;
/// How long answers may take after the last request.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Schedule {
    /// The server.
    address: SocketAddr,
    /// Requests a second.
    #[arg(long)]
    rate: f64,
    /// For how many seconds; the first of them does not count.
    #[arg(long)]
    seconds: f64,
    /// How many connections, of which a request takes one that is free.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many tags there are.
    #[arg(long)]
    tags: u64,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// What is being waited for: since when by the schedule, and which tag.
    asked: Option<(Instant, u64)>,
}

struct Run<'a> {
    connections: Vec<Connection>,
    free: Vec<usize>,
    waiting: VecDeque<(Instant, u64)>,
    requests: &'a [(u64, Vec<u8>)],
    counted_from: Instant,
    latency: Histogram<u64>,
    /// How late the client itself looked at a request that was due, to be seen beside the latency that it reports.
    lateness: Histogram<u64>,
    open: usize,
}

impl Schedule {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let numbers = Numbers::below(self.tags).take(PREPARED);
        let requests: Vec<_> = numbers
            .map(|number| (number, request(number, true)))
            .collect();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(self.connections);
        for index in 0..self.connections {
            let stream = TcpStream::connect(self.address).context("connecting")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(
                &epoll,
                &stream,
                epoll::EventData::new_u64(index as u64),
                epoll::EventFlags::IN,
            )?;
            connections.push(Connection {
                stream,
                received: Vec::with_capacity(4096),
                asked: None,
            });
        }
        // Else a sleep until the next request is prolonged by 50 µs.
        let slack = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        slack.context("setting the timer slack")?;

        let started = Instant::now();
        let mut run = Run {
            free: (0..connections.len()).collect(),
            connections,
            waiting: VecDeque::new(),
            requests: &requests,
            counted_from: started + Duration::from_secs(1),
            latency: Histogram::new(4)?,
            lateness: Histogram::new(4)?,
            open: 0,
        };
        let all = (self.rate * self.seconds) as u64;
        let mut scheduled = 0;
        let due = |request: u64| started + Duration::from_secs_f64(request as f64 / self.rate);
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
        while scheduled < all || run.open > 0 || !run.waiting.is_empty() {
            let mut now = Instant::now();
            while scheduled < all && due(scheduled) <= now {
                if due(scheduled) >= run.counted_from {
                    let late = now.duration_since(due(scheduled));
                    run.lateness.record(late.as_nanos() as u64)?;
                }
                run.waiting.push_back((due(scheduled), scheduled));
                scheduled += 1;
                run.send()?;
                now = Instant::now();
            }
            let wait = if scheduled < all {
                due(scheduled).saturating_duration_since(now)
            } else {
                PATIENCE
            };
            let wait = Timespec::try_from(wait).context("a time-out")?;
            events.clear();
            epoll::wait(
                &epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&wait),
            )?;
            ensure!(
                scheduled < all || !events.is_empty(),
                "{} requests were not answered",
                run.open + run.waiting.len()
            );
            for event in &events {
                run.receive(event.data.u64() as usize)?;
            }
        }
        let elapsed = started.elapsed().as_secs_f64();
        let ms = |histogram: &Histogram<u64>, quantile| {
            histogram.value_at_quantile(quantile) as f64 / 1e6
        };
        let report = serde_json::json!({
            "requests": all, "per_second": all as f64 / elapsed,
            "ms": {"p50": ms(&run.latency, 0.5), "p99": ms(&run.latency, 0.99), "p99.9": ms(&run.latency, 0.999), "max": run.latency.max() as f64 / 1e6},
            "client_late_ms": {"p50": ms(&run.lateness, 0.5), "p99": ms(&run.lateness, 0.99), "p99.9": ms(&run.lateness, 0.999)},
        });
        println!("{report}");
        Ok(())
    }
}

impl Run<'_> {
    /// Sends what waits, as far as connections are free.
    fn send(&mut self) -> anyhow::Result<()> {
        while let (Some(&index), Some(&(due, request))) = (self.free.last(), self.waiting.front()) {
            let (number, bytes) = &self.requests[request as usize % self.requests.len()];
            let connection = &mut self.connections[index];
            let sent = connection.stream.write(bytes).context("asking")?;
            ensure!(
                sent == bytes.len(),
                "a request did not fit into a socket that was empty"
            );
            connection.asked = Some((due, *number));
            self.free.pop();
            self.waiting.pop_front();
            self.open += 1;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        let mut buffer = [0; 4096];
        match connection.stream.read(&mut buffer) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(count) => connection.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("reading an answer"),
        }
        let Some((due, number)) = connection.asked else {
            bail!("an answer that nobody asked for")
        };
        if let Some(length) = answers::check(&connection.received, number)? {
            ensure!(length == connection.received.len(), "more than one answer");
            if due >= self.counted_from {
                self.latency.record(due.elapsed().as_nanos() as u64)?;
            }
            connection.received.clear();
            connection.asked = None;
            self.free.push(index);
            self.open -= 1;
            self.send()?;
        }
        Ok(())
    }
}
