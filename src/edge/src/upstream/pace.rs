//! How slowly a client may send a request's content and take its answer. A request that waits for its client holds a place at its site,
//! so the client's pace is judged over all of it: a byte now and then is not enough.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// What is allowed, in one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaceLimit {
    /// For how long a client may be waited for, beyond the time that its bytes need at the lowest rate.
    pub(super) grace: Duration,
    /// The lowest rate in bytes a second; 0: none, and `grace` is between two pieces.
    pub(super) min_rate: u32,
}

/// One direction of one request. Only time counts in which there was nothing to do but wait for the client.
pub(super) struct Pace {
    limit: PaceLimit,
    bytes: u64,
    /// How long it has been waited for until it last moved.
    waited: Duration,
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) fn new(limit: PaceLimit) -> Self {
        Self {
            limit,
            bytes: 0,
            waited: Duration::ZERO,
            waiting: None,
            timer: None,
        }
    }

    /// The client has sent or taken so many bytes.
    pub(super) fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.waiting.take() {
            self.add(since.elapsed());
        }
        self.bytes += bytes as u64;
    }

    /// The client has not moved. Ready when that is too slow; until then the task is woken for it.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let deadline = since + self.left();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }

    /// Waits until the client has taken so many bytes. None: it was too slow.
    pub(super) async fn take<T>(
        &mut self,
        bytes: usize,
        taken: impl Future<Output = T>,
    ) -> Option<T> {
        let began = Instant::now();
        let output = timeout(self.left(), taken).await.ok()?;
        self.add(began.elapsed());
        self.bytes += bytes as u64;
        Some(output)
    }

    fn add(&mut self, waited: Duration) {
        if self.limit.min_rate > 0 {
            self.waited += waited;
        }
    }

    /// How much longer it may be waited for.
    fn left(&self) -> Duration {
        let PaceLimit { grace, min_rate } = self.limit;
        let earned = match min_rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(self.bytes as f64 / f64::from(rate)),
        };
        (grace + earned).saturating_sub(self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    fn pace(min_rate: u32) -> Pace {
        Pace::new(PaceLimit {
            grace: GRACE,
            min_rate,
        })
    }

    /// As if this much had come after so many seconds.
    fn moved(pace: &mut Pace, seconds: u64, bytes: usize) {
        pace.add(Duration::from_secs(seconds));
        pace.moved(bytes);
    }

    #[test]
    fn a_byte_now_and_then_uses_the_time_up() {
        let mut pace = pace(500);
        for second in 0..20 {
            assert!(pace.left() > Duration::ZERO, "{second}");
            moved(&mut pace, 1, 1);
        }
        assert!(pace.left() < Duration::from_millis(100));
    }

    #[test]
    fn who_keeps_the_rate_may_take_for_ever_and_who_waits_for_the_site_is_not_slow() {
        let mut pace = pace(500);
        for _ in 0..1_000 {
            moved(&mut pace, 10, 5_000);
        }
        assert_eq!(pace.left(), GRACE);
        // Bytes that were there already were not waited for.
        pace.moved(500);
        assert_eq!(pace.left(), GRACE + Duration::from_secs(1));
    }

    #[test]
    fn without_a_rate_the_time_is_that_between_two_pieces() {
        let mut pace = pace(0);
        for _ in 0..1_000 {
            moved(&mut pace, 19, 1);
            assert_eq!(pace.left(), GRACE);
        }
    }
}
