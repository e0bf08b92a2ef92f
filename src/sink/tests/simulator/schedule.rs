//! What one seed decides before anything happens: how big things are, and what may go wrong, how often. Each schedule leaves some faults
//! out, so that those that it has meet in many ways ("swarm testing", Groce et al., ISSTA 2012).

use std::time::Duration;

use fastrand::Rng;
use scans::simulation::EdgeOptions;
use scans::{CatchUp, ShipperOptions};

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    // What goes on by itself.
    Answer,
    Ship,
    BrokerTakes,
    BrokerAnswers,
    SinkTurns,
    InsertArrives,
    InsertEnds,
    // What comes back by itself.
    EdgeStarts,
    BrokerComesBack,
    SinkStarts,
    SinkResumes,
    GroupMisses,
    StoreComesBack,
    StrayArrives,
    CommitComesLate,
    OutletHasRoom,
    // What goes wrong.
    EdgeIsKilled,
    MachineIsLost,
    LogIsDamaged,
    EdgeDrains,
    OutletIsFull,
    ProducerFails,
    BatchFails,
    BatchIsRefused,
    GarbageIsAppended,
    BrokerGoesAway,
    SinkIsKilled,
    SinkIsPaused,
    Rebalance,
    SinkGivesUp,
    InsertIsLost,
    StoreIsKilled,
    InsertIsHalfDone,
    TokensAreForgotten,
    GroupIsForgotten,
    PositionsAreForgotten,
}

use Happening::*;

const ORDINARY: [(Happening, u32); 16] = [
    (Answer, 120),
    (Ship, 120),
    (BrokerTakes, 160),
    (BrokerAnswers, 120),
    (SinkTurns, 600),
    (InsertArrives, 60),
    (InsertEnds, 60),
    (EdgeStarts, 30),
    (BrokerComesBack, 40),
    (SinkStarts, 30),
    (SinkResumes, 15),
    (GroupMisses, 30),
    (StoreComesBack, 40),
    (StrayArrives, 10),
    (CommitComesLate, 20),
    (OutletHasRoom, 60),
];

const FAULTS: [Happening; 20] = [
    EdgeIsKilled,
    MachineIsLost,
    LogIsDamaged,
    EdgeDrains,
    OutletIsFull,
    ProducerFails,
    BatchFails,
    BatchIsRefused,
    GarbageIsAppended,
    BrokerGoesAway,
    SinkIsKilled,
    SinkIsPaused,
    Rebalance,
    SinkGivesUp,
    InsertIsLost,
    StoreIsKilled,
    InsertIsHalfDone,
    TokensAreForgotten,
    GroupIsForgotten,
    PositionsAreForgotten,
];

const NEEDS_OTHERS: [Happening; 2] = [InsertIsHalfDone, TokensAreForgotten];

pub struct Schedule {
    pub steps: u32,
    pub machines: usize,
    pub writers: usize,
    pub partitions: usize,
    pub sinks: usize,
    pub most_scans: u64,
    pub edge: EdgeOptions,
    /// One of so many answered scans cannot be read by the sink; 0: none.
    pub unreadable: u32,
    /// One of so many requests of a sink fails, or loses its answer; 0: none.
    pub failing: u32,
    /// One of so many inserts takes long, on its way and at the server; 0: none.
    pub slow: u32,
    weights: Vec<(Happening, u32)>,
    total: u32,
}

impl Schedule {
    pub fn new(rng: &mut Rng) -> Self {
        let mut weights = ORDINARY.to_vec();
        for fault in FAULTS {
            if rng.bool() {
                // Some do nothing most of the time, as they need others before them.
                let most = if NEEDS_OTHERS.contains(&fault) {
                    120
                } else {
                    16
                };
                weights.push((fault, rng.u32(1..most)));
            }
        }
        let segments = rng.u64(2..8);
        let segment_bytes = 8_192;
        Self {
            steps: rng.u32(100..1_200),
            machines: rng.usize(1..3),
            writers: rng.usize(1..4),
            partitions: rng.usize(1..3),
            sinks: rng.usize(1..4),
            most_scans: rng.u64(1..40),
            edge: EdgeOptions {
                segment_bytes,
                max_bytes: segments * segment_bytes,
                spares: rng.usize(1..3),
                shipper: ShipperOptions {
                    batch_bytes: rng.usize(60..800),
                    idle_interval: Duration::from_millis(rng.u64(20..400)),
                    retry_after: Duration::from_millis(rng.u64(1..40)),
                    in_flight_bytes_per_writer: rng.usize(200..4_000),
                    in_flight_bytes: rng.usize(400..8_000),
                    catch_up: catch_up(rng.clone().fork()),
                    ..ShipperOptions::default()
                },
            },
            unreadable: if rng.bool() { rng.u32(4..60) } else { 0 },
            failing: if rng.bool() { rng.u32(8..60) } else { 0 },
            slow: if rng.bool() { rng.u32(2..12) } else { 0 },
            total: weights.iter().map(|(_, weight)| weight).sum(),
            weights,
        }
    }

    pub fn next(&self, rng: &mut Rng) -> Happening {
        let mut drawn = rng.u32(0..self.total);
        for (happening, weight) in &self.weights {
            if drawn < *weight {
                return *happening;
            }
            drawn -= weight;
        }
        SinkTurns
    }

    /// The most that a sink may hold of a partition: three blocks, each of which the last batch may lead beyond its bound.
    pub fn most_held(&self) -> u64 {
        // No scan takes less than 30 bytes.
        3 * (self.most_scans + self.edge.shipper.batch_bytes as u64 / 30 + 1)
    }
}

/// Every other time so few permits that what waits is held up. By chance of its own, so that each seed has the happenings that it always had.
fn catch_up(mut rng: Rng) -> CatchUp {
    if rng.bool() {
        return CatchUp::default();
    }
    CatchUp {
        for_each_recorded: rng.u32(2..11),
        a_second: rng.u32(20..1_000),
    }
}
