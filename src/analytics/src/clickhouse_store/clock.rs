//! The server's clock, which is the only one by which it is told what is late: asked for once a minute, and counted on from there by a
//! clock that nobody sets.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clickhouse::Client;

use super::within;
use crate::StoreError;

/// How long a reading is counted on from. A clock that is set in between may be off by what [`super::periods::is_late`] leaves.
const GOOD_FOR: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Clock {
    read: Mutex<Option<(Instant, i64)>>,
}

impl Clock {
    /// Milliseconds since 1970.
    pub(super) async fn now(&self, client: &Client) -> Result<i64, StoreError> {
        let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, millis)) = read
            && at.elapsed() < GOOD_FOR
        {
            return Ok(millis + at.elapsed().as_millis() as i64);
        }
        let millis = server_time(client).await?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = Some((Instant::now(), millis));
        Ok(millis)
    }
}

/// Milliseconds since 1970.
pub(super) async fn server_time(client: &Client) -> Result<i64, StoreError> {
    let now = client.query_raw("SELECT toUnixTimestamp64Milli(now64(3))");
    within("read the server's clock", now.fetch_one()).await
}
