//! Records a scan: puts together what the request tells and appends it to the worker's scan log, before the answer is handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use scans::{IpPrefix, NewScan, Purpose, Visitors, Writer, referrer_host};

use crate::answer::Scanned;
use crate::head::Head;
use crate::request::Method;
use crate::request_facts::RequestFacts;

/// What all workers share to record scans.
pub(crate) struct Recording {
    pub(crate) visitors: Arc<Visitors>,
    pub(crate) unknown_codes: UnknownCap,
}

impl Recording {
    /// Appends the scan. One that cannot be recorded is counted by its reason.
    pub(crate) fn record(
        &self,
        writer: &mut Writer,
        scanned: &Scanned<'_>,
        head: &Head<'_>,
        facts: &RequestFacts<'_>,
        now: Timestamp,
    ) {
        if scanned.tag_version == 0 && !self.unknown_codes.admits(now) {
            writer.drop_unknown();
            return;
        }
        let (fields, client) = (&head.fields, facts.client());
        let scan = NewScan {
            time: now,
            workspace: scanned.workspace,
            domain: scanned.domain,
            code: &scanned.code,
            campaign: scanned.campaign,
            tag_version: scanned.tag_version,
            outcome: scanned.outcome,
            rule: scanned.rule,
            destination_index: scanned.destination_index,
            method: if head.request.method == Method::Head {
                scans::Method::Head
            } else {
                scans::Method::Get
            },
            purpose: purpose(&fields.purpose),
            ip_prefix: IpPrefix::of(client),
            visitor: self.visitors.visitor(now, client, fields.user_agent),
            user_agent: fields.user_agent,
            language: fields.accept_language,
            referrer_host: referrer_host(fields.referer),
            http_version: head.version,
            bot_network: facts.bot_network(),
        };
        // The writer has counted what it dropped, by its reason; the visitor is answered in any case.
        let _ = writer.append(&scan);
    }
}

/// What the client wants the answer for: the first of these headers that says so.
pub(crate) fn purpose(said: &[&[u8]]) -> Purpose {
    let given = said.iter().filter(|value| !value.is_empty());
    given
        .map(|value| Purpose::parse(value))
        .find(|purpose| *purpose != Purpose::Navigation)
        .unwrap_or(Purpose::Navigation)
}

/// Lets so many unknown codes a second be recorded, over all workers, so that who guesses codes cannot fill the scan log.
pub(crate) struct UnknownCap {
    per_second: u32,
    /// The second (its low 32 bits) and how many it has had.
    second_and_count: AtomicU64,
}

impl UnknownCap {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            second_and_count: AtomicU64::new(0),
        }
    }

    /// A request that a worker has had in hand since the second before counts towards the newest second: it does not begin that one
    /// again. Only a clock that was put back further does.
    fn admits(&self, now: Timestamp) -> bool {
        let second = now.as_second() as u32;
        // Relaxed: the number itself is all that is shared.
        let counted =
            self.second_and_count
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| {
                    let (newest, counted) = ((value >> 32) as u32, value as u32);
                    let (second, count) = if newest.wrapping_sub(second) <= 1 {
                        (newest, counted)
                    } else {
                        (second, 0)
                    };
                    (count < self.per_second)
                        .then_some(u64::from(second) << 32 | u64::from(count + 1))
                });
        counted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_unknown_codes_are_recorded_each_second_and_no_more() {
        let cap = UnknownCap::new(2);
        let at = |text: &str| cap.admits(text.parse().expect("a test's time"));
        let admitted = [
            "10:00:00.1",
            "10:00:00.5",
            "10:00:00.9",
            "10:00:01",
            "10:00:01",
            "10:00:01",
        ]
        .map(|t| at(&format!("2026-11-25T{t}Z")));
        assert_eq!(admitted, [true, true, false, true, true, false]);
        // One that another worker held up at the end of the second before.
        assert_eq!(
            ["10:00:00.9", "10:00:01"].map(|t| at(&format!("2026-11-25T{t}Z"))),
            [false, false]
        );
        // The clock was put back by an hour.
        assert!(at("2026-11-25T09:00:01Z"));
    }
}
