//! Group commit: one thread takes every publish that is waiting and commits them together, so that many callers share one transaction.
//!
//! There are two lanes: calls for which somebody waits, and parts of work in bulk, one of which is taken when nobody waits, or when one has let
//! others pass already.
//!
//! What a commit is, the implementations' [`Committer`]s say.

use std::collections::VecDeque;
use std::thread;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::record::Record;
use crate::{JournalMetrics, OpenError, Positions, PublishError, SaltChange};

/// Calls that wait for the thread before further callers have to wait to ask: with a commit of 10 ms, 0.1 s of callers at most.
const QUEUE: usize = 1024;
/// Calls in one transaction.
const MAX_CALLS: usize = 512;
/// Bytes in one transaction, passed by at most one call.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Writes groups of calls; lives on the writer thread.
pub(crate) trait Committer: Send + 'static {
    /// Takes the role of the only writer. May wait, as long as the caller has not gone.
    fn become_writer(&mut self, abandoned: &dyn Fn() -> bool) -> Result<(), PublishError>;

    /// Commits all calls or none. The positions are one each, in order.
    fn commit(&mut self, calls: &[Vec<Record>]) -> Result<Vec<Positions>, PublishError>;

    /// Makes all of these changes of salts or none.
    fn change_salts(&mut self, changes: &[SaltChange]) -> Result<(), PublishError>;

    /// Clears up after a failed commit, for a bounded time; no commit is tried before this succeeds.
    fn settle(&mut self) -> Result<(), PublishError>;
}

/// The asking side of the writer thread; the thread ends when all of these are gone.
#[derive(Clone, Debug)]
pub(crate) struct GroupCommit(mpsc::Sender<Request>);

#[derive(Debug)]
enum Request {
    BecomeWriter(oneshot::Sender<Result<(), PublishError>>),
    Publish(Call),
    ChangeSalts(Vec<SaltChange>, oneshot::Sender<Result<(), PublishError>>),
}

#[derive(Debug)]
struct Call {
    lane: Lane,
    records: Vec<Record>,
    reply: oneshot::Sender<Result<Positions, PublishError>>,
}

/// Who comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody waits for it.
    Interactive,
    /// It is a part of something large.
    Bulk,
}

impl GroupCommit {
    /// Starts the thread.
    pub(crate) fn start(
        committer: impl Committer,
        metrics: JournalMetrics,
    ) -> Result<Self, OpenError> {
        let (sender, requests) = mpsc::channel(QUEUE);
        let writer = Writer {
            committer,
            metrics,
            requests,
            waiting: None,
            bulk: VecDeque::new(),
            bulk_was_passed: false,
        };
        thread::Builder::new()
            .name("journal-writer".into())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self(sender))
    }

    pub(crate) async fn become_writer(&self) -> Result<(), PublishError> {
        self.ask(Request::BecomeWriter).await
    }

    pub(crate) async fn publish(
        &self,
        lane: Lane,
        records: Vec<Record>,
    ) -> Result<Positions, PublishError> {
        let call = |reply| Call {
            lane,
            records,
            reply,
        };
        self.ask(|reply| Request::Publish(call(reply))).await
    }

    pub(crate) async fn change_salts(&self, changes: Vec<SaltChange>) -> Result<(), PublishError> {
        self.ask(|reply| Request::ChangeSalts(changes, reply)).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, PublishError>>) -> Request,
    ) -> Result<T, PublishError> {
        let (reply, answer) = oneshot::channel();
        let ended = |_| PublishError::InDoubt {
            reason: "the journal's writer thread has ended".to_owned(),
        };
        self.0
            .send(request(reply))
            .await
            .map_err(|_| PublishError::NotWriter)?;
        answer.await.map_err(ended)?
    }
}

struct Writer<C> {
    committer: C,
    metrics: JournalMetrics,
    requests: mpsc::Receiver<Request>,
    /// Taken from the queue while a group was made, and to be answered after it.
    waiting: Option<Request>,
    /// Parts of work in bulk, as they came. Whoever asks for one waits for its end, so that there are few.
    bulk: VecDeque<Call>,
    /// Whether the last transaction was made without the first of them.
    bulk_was_passed: bool,
}

impl<C: Committer> Writer<C> {
    fn run(mut self) {
        while let Some(request) = self.next() {
            match request {
                Request::BecomeWriter(reply) => {
                    let outcome = self.committer.become_writer(&|| reply.is_closed());
                    // The caller may have gone; the role is kept all the same.
                    let _ = reply.send(outcome);
                }
                Request::ChangeSalts(changes, reply) => {
                    let outcome = self.committer.change_salts(&changes);
                    let failed = outcome.is_err();
                    let _ = reply.send(outcome); // as above
                    if failed && !self.settle() {
                        return;
                    }
                }
                Request::Publish(first) => {
                    let calls = self.group(first);
                    if !self.commit(calls) && !self.settle() {
                        return;
                    }
                }
            }
        }
    }

    /// What is to be done next; none when nobody can ask any more.
    fn next(&mut self) -> Option<Request> {
        if let Some(request) = self.waiting.take() {
            return Some(request);
        }
        loop {
            let request = match self.bulk.is_empty() {
                true => self.requests.blocking_recv(),
                false => self.requests.try_recv().ok(),
            };
            match request {
                Some(Request::Publish(call)) if call.lane == Lane::Bulk => {
                    self.bulk.push_back(call)
                }
                Some(request) => return Some(request),
                None => return self.bulk.pop_front().map(Request::Publish),
            }
        }
    }

    /// Everything that waits, up to the bounds of one transaction.
    fn group(&mut self, first: Call) -> Vec<Call> {
        let size = |call: &Call| call.records.iter().map(Record::bytes).sum::<usize>();
        let mut bytes = size(&first);
        let mut has_bulk = first.lane == Lane::Bulk;
        let mut calls = vec![first];
        while calls.len() < MAX_CALLS && bytes < MAX_BYTES {
            match self.requests.try_recv() {
                Ok(Request::Publish(call)) if call.lane == Lane::Bulk => self.bulk.push_back(call),
                Ok(Request::Publish(call)) => {
                    bytes += size(&call);
                    calls.push(call);
                }
                Ok(other) => {
                    self.waiting = Some(other);
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        // However many others come, work in bulk goes on.
        if self.bulk_was_passed && !has_bulk {
            let passed = self.bulk.pop_front();
            has_bulk = passed.is_some();
            calls.extend(passed);
        }
        self.bulk_was_passed = !has_bulk && !self.bulk.is_empty();
        calls
    }

    /// Commits and answers every call; false when it failed.
    fn commit(&mut self, calls: Vec<Call>) -> bool {
        let (records, replies): (Vec<_>, Vec<_>) = calls
            .into_iter()
            .map(|call| (call.records, call.reply))
            .unzip();
        let outcome = self.committer.commit(&records);
        let succeeded = outcome.is_ok();
        // A reply that cannot be delivered belongs to a caller that has gone; its change is made or not all the same.
        match outcome {
            Ok(positions) => {
                self.metrics.count_committed(replies.len());
                for (reply, positions) in replies.into_iter().zip(positions) {
                    let _ = reply.send(Ok(positions));
                }
            }
            Err(error) => {
                tracing::warn!(%error, calls = replies.len(), "a transaction of the journal failed");
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
        succeeded
    }

    /// Clears up after a failed commit; until that succeeds, whoever asks is told so at once. False when nobody can ask any more.
    fn settle(&mut self) -> bool {
        while let Err(error) = self.committer.settle() {
            loop {
                let queued = self.bulk.pop_front().map(Request::Publish);
                let queued = queued.or_else(|| self.waiting.take());
                match queued.map_or_else(|| self.requests.try_recv(), Ok) {
                    Ok(Request::Publish(call)) => {
                        let _ = call.reply.send(Err(error.clone()));
                    }
                    Ok(Request::ChangeSalts(_, reply)) => {
                        let _ = reply.send(Err(error.clone()));
                    }
                    // Becoming the writer starts anew, which settles everything.
                    Ok(request @ Request::BecomeWriter(_)) => {
                        self.waiting = Some(request);
                        return true;
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return false,
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tags::{Change, Code, Destination, Domain, Tag, WorkspaceId};

    use super::*;

    /// Says of each commit how many records each call has, and goes on when it is told to.
    struct Told {
        commits: Sender<Vec<usize>>,
        go_on: Receiver<()>,
    }

    impl Committer for Told {
        fn become_writer(&mut self, _abandoned: &dyn Fn() -> bool) -> Result<(), PublishError> {
            Ok(())
        }

        fn commit(&mut self, calls: &[Vec<Record>]) -> Result<Vec<Positions>, PublishError> {
            self.commits
                .send(calls.iter().map(Vec::len).collect())
                .unwrap();
            self.go_on.recv().unwrap();
            Ok(vec![Positions::default(); calls.len()])
        }

        fn change_salts(&mut self, _changes: &[SaltChange]) -> Result<(), PublishError> {
            Ok(())
        }

        fn settle(&mut self) -> Result<(), PublishError> {
            Ok(())
        }
    }

    fn records(count: usize) -> Vec<Record> {
        let tag = |number| {
            Change::Tag(Tag::new(
                WorkspaceId::default_workspace(),
                Domain::parse("qr.example.com").unwrap(),
                Code::parse(&format!("t{number}")).unwrap(),
                Destination::parse("https://example.com/").unwrap(),
                jiff::Timestamp::UNIX_EPOCH,
            ))
        };
        Record::encode_all(&(0..count).map(tag).collect::<Vec<_>>()).unwrap()
    }

    /// Calls as they are queued while a transaction is under way.
    async fn queue(journal: &GroupCommit, lane: Lane, count: usize) {
        let journal = journal.clone();
        tokio::spawn(async move { journal.publish(lane, records(count)).await });
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn who_waits_comes_before_work_in_bulk_which_goes_on_all_the_same() {
        let (commits, committed) = channel();
        let (go_on, told) = channel();
        let told = Told {
            commits,
            go_on: told,
        };
        let journal = GroupCommit::start(told, JournalMetrics::unregistered()).unwrap();
        queue(&journal, Lane::Bulk, 7).await;
        assert_eq!(committed.recv().unwrap(), [7]);
        for (lane, count) in [(Lane::Bulk, 8), (Lane::Bulk, 9), (Lane::Interactive, 1)] {
            queue(&journal, lane, count).await;
        }
        go_on.send(()).unwrap();
        assert_eq!(committed.recv().unwrap(), [1], "before what came first");
        queue(&journal, Lane::Interactive, 2).await;
        go_on.send(()).unwrap();
        assert_eq!(committed.recv().unwrap(), [2, 8], "not passed twice");
        queue(&journal, Lane::Interactive, 3).await;
        go_on.send(()).unwrap();
        assert_eq!(committed.recv().unwrap(), [3]);
        go_on.send(()).unwrap();
        assert_eq!(committed.recv().unwrap(), [9]);
        go_on.send(()).unwrap();
    }
}
