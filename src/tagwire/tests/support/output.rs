//! What a process writes, kept and waited for.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::DEADLINE;

/// One stream of a process, read line by line as it comes.
pub(super) struct Output {
    pub(super) seen: watch::Receiver<Seen>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) text: String,
    /// Those lines that are JSON.
    lines: Vec<Value>,
}

impl Output {
    pub(super) fn capture(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|seen| {
                    seen.lines.extend(serde_json::from_str::<Value>(&line));
                    seen.text.push_str(&line);
                    seen.text.push('\n');
                });
            }
        });
        Self { seen, reader }
    }

    pub(super) fn text(&self) -> String {
        self.seen.borrow().text.clone()
    }

    /// The first JSON line, past or to come, that fits; none when the stream ends without.
    pub(super) async fn line(&self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        self.nth_line(1, fits).await
    }

    /// The nth, counted from 1.
    pub(super) async fn nth_line(
        &self,
        nth: usize,
        fits: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let find = |seen: &Seen| {
            seen.lines
                .iter()
                .filter(|line| fits(line))
                .nth(nth - 1)
                .cloned()
        };
        let mut seen = self.seen.clone();
        let found = timeout(DEADLINE, seen.wait_for(|seen| find(seen).is_some())).await;
        let found = found.unwrap_or_else(|_| panic!("that line does not come: {}", self.text()));
        found.ok().and_then(|seen| find(&seen))
    }

    pub(super) async fn whole(self) -> String {
        self.reader.await.unwrap();
        self.seen.borrow().text.clone()
    }
}
