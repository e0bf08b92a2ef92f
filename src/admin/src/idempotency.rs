//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a request that makes something and is sent again, since its answer was
//! lost, makes nothing more and is answered as before.
//!
//! What was answered is published in one transaction with what was made, so that after a crash either both are there or neither is. It is kept
//! under hashes and sealed, by keys derived from the secret with which the client asks: an answer may hold a secret that is shown once.

mod seal;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use tags::{Change, IdempotencyEntry, IdempotencySlot, WorkspaceId};

pub(crate) use self::seal::Seal;
use crate::auth::Principal;
use crate::body::Body;
use crate::index::{IndexError, Tenant};
use crate::problem::Problem;
use crate::service::Admin;

const HEADER: &str = "idempotency-key";
/// The longest key, in characters; a UUID has 36.
const MAX_KEY: usize = 255;
/// How long an answer is given again.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Which requests are under way, and where the next answer goes.
#[derive(Default)]
pub(crate) struct Idempotency {
    under_way: Arc<Mutex<HashSet<[u8; 32]>>>,
    next_slots: Mutex<HashMap<WorkspaceId, IdempotencySlot>>,
}

/// Puts into JSON what a request has made.
pub(crate) type Answer<T> = fn(&Admin, &T) -> serde_json::Result<Vec<u8>>;

/// What a request is by its `Idempotency-Key`.
pub(crate) enum Repetition {
    /// One that has not been answered before.
    None(Claim),
    /// One that has, with this.
    Of(Vec<u8>),
}

/// The right to carry a request out, which nobody else has until it is dropped; of a request without a key, that of everyone.
pub(crate) struct Claim(Option<Claimed>);

struct Claimed {
    seal: Seal,
    key_hash: [u8; 32],
    request_hash: [u8; 32],
    under_way: Arc<Mutex<HashSet<[u8; 32]>>>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.key_hash);
    }
}

impl Idempotency {
    /// Begins a request of this name, or tells what it was answered before. Another request with the same key is a 422, the same one while it is
    /// under way a 409.
    pub(crate) fn begin(
        &self,
        admin: &Admin,
        who: &Principal,
        key: Option<&str>,
        request: &str,
        body: &Body,
    ) -> Result<Repetition, Problem> {
        let (Some(key), Some(body)) = (key, body.bytes()) else {
            return Ok(Repetition::None(Claim(None)));
        };
        let seal = who.seal.clone();
        let key_hash = seal.hash(&[b"key", key.as_bytes()]);
        let request_hash = seal.hash(&[b"request", request.as_bytes(), body]);
        if !lock(&self.under_way).insert(key_hash) {
            return Err(Problem::under_way(
                "The request with this Idempotency-Key is still under way; send it again in a moment.",
            ));
        }
        // From here on it is given back, whatever happens.
        let claimed = Claimed {
            seal,
            key_hash,
            request_hash,
            under_way: Arc::clone(&self.under_way),
        };
        let kept = admin.tenant(who).idempotency(&key_hash)?;
        let Some(kept) = kept.filter(|kept| admin.now().duration_since(kept.at) < KEPT) else {
            return Ok(Repetition::None(Claim(Some(claimed))));
        };
        if kept.request_hash != request_hash {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "This Idempotency-Key came with another request before; send a new key with a new request.",
            ));
        }
        let answer = claimed.seal.open(&key_hash, &kept.answer);
        Ok(Repetition::Of(
            answer.map_err(|error| Problem::internal(&error))?,
        ))
    }

    fn next_slot(
        &self,
        tenant: &Tenant,
        workspace: &WorkspaceId,
    ) -> Result<IdempotencySlot, IndexError> {
        let mut next_slots = lock(&self.next_slots);
        let slot = match next_slots.get(workspace) {
            Some(slot) => *slot,
            // The first since the start.
            None => match tenant.newest_idempotency_slot()? {
                Some(newest) => newest.next(),
                None => IdempotencySlot::FIRST,
            },
        };
        next_slots.insert(workspace.clone(), slot.next());
        Ok(slot)
    }
}

/// How a request is known again that makes a `T`.
pub(crate) struct Keep<T> {
    claim: Claim,
    answer: Answer<T>,
}

impl<T> Keep<T> {
    pub(crate) fn new(claim: Claim, answer: Answer<T>) -> Self {
        Self { claim, answer }
    }

    /// What has to be published together with what the request makes; nothing without a key.
    pub(crate) fn entry(
        &self,
        admin: &Admin,
        who: &Principal,
        made: &T,
    ) -> Result<Option<Change>, Problem> {
        let Some(claimed) = &self.claim.0 else {
            return Ok(None);
        };
        let workspace = &who.workspace;
        let answer = (self.answer)(admin, made).map_err(|error| Problem::internal(&error))?;
        let sealed = claimed.seal.seal(&claimed.key_hash, answer);
        Ok(Some(Change::Idempotency(IdempotencyEntry {
            workspace: workspace.clone(),
            slot: admin
                .idempotency()
                .next_slot(&admin.tenant(who), workspace)?,
            key_hash: claimed.key_hash,
            request_hash: claimed.request_hash,
            at: admin.now(),
            answer: sealed.map_err(|error| Problem::internal(&error))?,
        })))
    }
}

/// The `Idempotency-Key` of a request. The draft has it in quotation marks, as a string of RFC 9651; many clients send it without, and mean the
/// same.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let inner = text.map(|text| {
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        quoted.unwrap_or(text)
    });
    let is_allowed = |key: &&str| {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(plain)
    };
    inner.filter(is_allowed).map(Some).ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("Idempotency-Key must be given once, with 1 to {MAX_KEY} visible ASCII characters but '\"' and '\\', such as a UUID."),
        )
    })
}

/// What is in it is changed in one step, so that a panic elsewhere does it no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, u16> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        let key = key(&headers).map_err(|problem| problem.status.as_u16())?;
        Ok(key.map(str::to_owned))
    }

    #[test]
    fn a_key_is_the_same_with_quotation_marks_and_without() {
        let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        assert_eq!(read(&[key]), Ok(Some(key.to_owned())));
        assert_eq!(read(&[&format!("\"{key}\"")]), Ok(Some(key.to_owned())));
        assert_eq!(read(&[]), Ok(None));
        assert!(read(&["x".repeat(255).as_str()]).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let too_long = "x".repeat(256);
        for bad in [
            "",
            "\"\"",
            "\"",
            "a b",
            "a\"b",
            "\"a\\\"b\"",
            "é",
            &too_long,
        ] {
            assert_eq!(read(&[bad]), Err(400), "{bad}");
        }
        assert_eq!(read(&["a", "a"]), Err(400));
    }
}
