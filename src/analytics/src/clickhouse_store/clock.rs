//! The server's clock, which is the only one by which it is told what is late: asked for once a minute, and counted on from there by a
//! clock that nobody sets.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use clickhouse::Client;

use super::within;
use crate::StoreError;

/// How long a reading is counted on from. A clock that is set in between may be off by what [`super::periods::is_late`] leaves.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// What it showed, and when that was by both of this machine's clocks: one stands still while the machine is suspended, one may be set.
#[derive(Clone, Copy)]
struct Reading {
    millis: i64,
    at: Instant,
    wall: SystemTime,
}

impl Reading {
    fn is_good(&self) -> bool {
        let by_wall = self.wall.elapsed();
        self.at.elapsed() < GOOD_FOR && by_wall.is_ok_and(|elapsed| elapsed < GOOD_FOR)
    }
}

#[derive(Default)]
pub(super) struct Clock {
    read: Mutex<Option<Reading>>,
}

impl Clock {
    /// Milliseconds since 1970.
    pub(super) async fn now(&self, client: &Client) -> Result<i64, StoreError> {
        let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = read.filter(Reading::is_good) {
            return Ok(reading.millis + reading.at.elapsed().as_millis() as i64);
        }
        let reading = Reading {
            millis: server_time(client).await?,
            at: Instant::now(),
            wall: SystemTime::now(),
        };
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        Ok(reading.millis)
    }
}

/// Milliseconds since 1970.
pub(super) async fn server_time(client: &Client) -> Result<i64, StoreError> {
    let now = client.query_raw("SELECT toUnixTimestamp64Milli(now64(3))");
    within("read the server's clock", now.fetch_one()).await
}
