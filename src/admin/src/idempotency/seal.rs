//! What is kept for a client and can be read by nobody but that client, and by us only while it asks.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::{hmac, rand};

/// The keys that a client's secret makes.
#[derive(Clone)]
pub(crate) struct Seal(Prk);

/// Nothing of the secret.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// An answer that could not be sealed, or was sealed by another or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer kept for an Idempotency-Key cannot be sealed or opened")]
pub(crate) struct SealError;

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

impl Seal {
    /// The secret needs to have as many random bits as a key, as those have that we make.
    pub(crate) fn of(secret: &str) -> Self {
        Self(Salt::new(HKDF_SHA256, b"tagwire").extract(secret.as_bytes()))
    }

    /// HMAC-SHA256 (RFC 2104) of parts, each with its length, so that no two lists of parts are the same.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let key = hmac::Key::from(self.expand(&[b"idempotency hash"], hmac::HMAC_SHA256));
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        hash
    }

    /// Nonce, then what only [`Seal::open`] reads, bound to `name`.
    pub(crate) fn seal(&self, name: &[u8; 32], mut text: Vec<u8>) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce)?;
        self.cipher().seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name),
            &mut text,
        )?;
        Ok([&nonce[..], &text].concat())
    }

    /// What was sealed.
    pub(crate) fn open(&self, name: &[u8; 32], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .cipher()
            .open_in_place(nonce, Aad::from(name), &mut text)?;
        Ok(opened.to_vec())
    }

    /// AES-GCM-SIV (RFC 8452): nonces are random, and one that came twice gives nothing away.
    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::from(self.expand(&[b"idempotency answer"], &AES_256_GCM_SIV));
        LessSafeKey::new(key)
    }

    fn expand<'a, K: KeyType>(
        &'a self,
        purpose: &'a [&'a [u8]],
        kind: K,
    ) -> aws_lc_rs::hkdf::Okm<'a, K> {
        let expanded = self.0.expand(purpose, kind);
        expanded.expect("HKDF makes up to 8,160 bytes (RFC 5869 §2.3), and a key has 32")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_same_secret_and_name_alone() {
        let (ours, other) = (Seal::of("tagwire_a"), Seal::of("tagwire_b"));
        let sealed = ours.seal(&[1; 32], b"secret".to_vec()).unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(ours.open(&[1; 32], &sealed).unwrap(), b"secret");
        assert_eq!(ours.open(&[2; 32], &sealed), Err(SealError));
        assert_eq!(other.open(&[1; 32], &sealed), Err(SealError));
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert_eq!(ours.open(&[1; 32], &damaged), Err(SealError));
        }
        assert_eq!(ours.open(&[1; 32], &sealed[..5]), Err(SealError));
    }

    #[test]
    fn hashes_differ_by_secret_and_by_where_parts_end() {
        let seal = Seal::of("tagwire_a");
        assert_eq!(seal.hash(&[b"ab", b"c"]), seal.hash(&[b"ab", b"c"]));
        assert_ne!(seal.hash(&[b"ab", b"c"]), seal.hash(&[b"a", b"bc"]));
        assert_ne!(seal.hash(&[b"ab"]), Seal::of("tagwire_b").hash(&[b"ab"]));
    }
}
