//! What a case found, and the comparisons that find it: what was answered against what is stored, by the numbers that scans carry, and what
//! the edges say against what is stored, by the ledger.

use std::time::Duration;

use anyhow::ensure;

use crate::deployment::ledger::Told;
use crate::deployment::load::Sent;
use crate::deployment::{Deployment, ledger, stored};

/// A line of the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// None: the case is about no scan.
    pub scans: Option<Scans>,
    /// From the end of the fault until all was as before.
    pub recovery: Option<Duration>,
}

/// Of one load.
#[derive(Clone, Copy, Debug)]
pub struct Scans {
    /// Requests whose connection closed before any byte of an answer. A phone then asked once more (RFC 9112 §9.3.1).
    pub asked_again: u64,
    /// Requests that did not get their right answer, the one more included.
    pub failed: u64,
    /// As the edges say, of all codes.
    pub accepted: u64,
    /// By identity.
    pub stored: u64,
    /// Dropped and counted with their reason, or set aside as dead.
    pub told_lost: u64,
    /// Rows too many.
    pub duplicates: u64,
    /// Missing, and nothing tells why.
    pub gaps: u64,
}

impl Figures {
    /// Of a case in which no scan is compared.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same, with the time that it took until all was as before.
    pub fn recovered_in(mut self, recovery: Duration) -> Self {
        self.recovery = Some(recovery);
        self
    }
}

/// Every answered scan is stored once, and the ledger shows no difference and no loss. The sink does not run any more then.
pub async fn exact(
    deployment: &mut Deployment,
    code: &str,
    sent: &Sent,
) -> anyhow::Result<Figures> {
    but_dropped(deployment, code, sent, &[]).await
}

/// The same where [`stored::matches`] has compared the rows just before: the ledger alone is asked.
pub async fn exact_by_ledger(deployment: &mut Deployment, sent: &Sent) -> anyhow::Result<Figures> {
    by_ledger(deployment, sent, &[]).await
}

/// Like [`exact`], but for scans that are lost on purpose: as many as the ledger tells, for these reasons.
pub async fn but_dropped(
    deployment: &mut Deployment,
    code: &str,
    sent: &Sent,
    dropped: &[(&str, u64)],
) -> anyhow::Result<Figures> {
    let on_purpose: u64 = dropped.iter().map(|(_, scans)| scans).sum();
    let lost = stored::lost(deployment, code, sent, on_purpose as usize).await?;
    ensure!(
        lost.len() as u64 == on_purpose,
        "{} of {} answered scans are lost, and {dropped:?} were dropped: {lost:?}",
        lost.len(),
        sent.answered.len(),
    );
    by_ledger(deployment, sent, dropped).await
}

/// The ledger shows no difference, and what is dropped is this.
async fn by_ledger(
    deployment: &mut Deployment,
    sent: &Sent,
    dropped: &[(&str, u64)],
) -> anyhow::Result<Figures> {
    let on_purpose: u64 = dropped.iter().map(|(_, scans)| scans).sum();
    let told = ledger::settled_at_the_end(deployment).await?;
    let scans = judged(&told, sent)?;
    let counted = scans.told_lost - told.dropped("unknown_cap");
    ensure!(
        counted == on_purpose
            && dropped
                .iter()
                .all(|(reason, scans)| told.dropped(reason) == *scans),
        "{dropped:?} were dropped, and the ledger tells {told:?}"
    );
    Ok(Figures {
        scans: Some(scans),
        recovery: None,
    })
}

/// What a ledger without a difference comes to.
pub fn judged(told: &Told, sent: &Sent) -> anyhow::Result<Scans> {
    let report = &told.report;
    ensure!(
        told.code == Some(0) && report["verdict"] == "exact",
        "the ledger shows a difference: {told:?}"
    );
    ensure!(
        report["under_way"]["scans"] == 0,
        "not all is settled: {told:?}"
    );
    let (accepted, stored) = (told.total("accepted")?, told.total("stored")?);
    let gaps = told.total("unexplained")?;
    Ok(Scans {
        asked_again: sent.unanswered.len() as u64,
        failed: sent.wrong.len() as u64,
        accepted,
        stored,
        told_lost: accepted - stored - gaps,
        duplicates: told.total("duplicates")?,
        gaps,
    })
}
