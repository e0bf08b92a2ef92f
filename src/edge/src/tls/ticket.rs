//! One key of session tickets (RFC 5077, RFC 8446 §4.6.1): what a ticket is made of, and how it is opened again. Which keys there are
//! is `ticket_keys`' matter.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;

/// How long a ticket is good, in seconds.
pub(crate) const LIFETIME: u32 = 12 * 60 * 60;

/// Clocks of edges that share a key differ by less.
const CLOCK_SKEW: u64 = 300;

const NAME_LEN: usize = 16;
/// Before what is sealed: the key's name, the time of issue, the nonce.
const HEAD_LEN: usize = NAME_LEN + 8 + NONCE_LEN;
/// Ours have a few hundred bytes.
const MAX_LEN: usize = 4096;

/// A key. Its secret is only in the cipher.
pub(crate) struct TicketKey {
    name: [u8; NAME_LEN],
    /// AES-GCM-SIV, RFC 8452: nonces are random and a key is shared by many edges for a day; with plain GCM, a nonce that came twice
    /// would give the key away.
    cipher: LessSafeKey,
}

impl TicketKey {
    /// How many bytes a key has: as nginx's `ssl_session_ticket_key`, so that what makes those makes ours.
    pub(crate) const LENGTHS: [usize; 2] = [48, 80];

    /// A key from random bytes; the first 16 are its name, which goes out with every ticket. None: not one of [`Self::LENGTHS`].
    pub(crate) fn derive(random: &[u8]) -> Option<Self> {
        if !Self::LENGTHS.contains(&random.len()) {
            return None;
        }
        let (name, secret) = random.split_first_chunk()?;
        let expanded = Salt::new(HKDF_SHA256, b"tagwire").extract(secret);
        let key = expanded
            .expand(&[b"session ticket"], &AES_256_GCM_SIV)
            .ok()?;
        Some(Self {
            name: *name,
            cipher: LessSafeKey::new(UnboundKey::from(key)),
        })
    }

    /// What tells it from others.
    pub(crate) fn name(&self) -> &[u8; NAME_LEN] {
        &self.name
    }

    /// A key that nobody else has.
    pub(crate) fn random() -> Result<Self, Unspecified> {
        let mut bytes = [0; 80];
        rand::fill(&mut bytes)?;
        Self::derive(&bytes).ok_or(Unspecified)
    }

    pub(crate) fn seal(&self, session: &[u8], now: u64) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce)?;
        let mut sealed = session.to_vec();
        let issued = now.to_be_bytes();
        let bound = [&self.name[..], &issued].concat();
        self.cipher.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&bound),
            &mut sealed,
        )?;
        Ok([&bound[..], &nonce, &sealed].concat())
    }

    /// The session, if the ticket is of this key and still good.
    pub(crate) fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        if ticket.len() > MAX_LEN {
            return None;
        }
        let (head, sealed) = ticket.split_first_chunk::<HEAD_LEN>()?;
        let (bound, nonce) = head.split_at(HEAD_LEN - NONCE_LEN);
        let (name, issued) = bound.split_at(NAME_LEN);
        if name != self.name {
            return None;
        }
        let issued = u64::from_be_bytes(issued.try_into().ok()?);
        let age = (now + CLOCK_SKEW).checked_sub(issued)?;
        if age > u64::from(LIFETIME) + CLOCK_SKEW {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self
            .cipher
            .open_in_place(nonce, Aad::from(bound), &mut sealed)
            .ok()?
            .len();
        sealed.truncate(opened);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key(byte: u8) -> TicketKey {
        TicketKey::derive(&[byte; 80]).expect("a key")
    }

    #[test]
    fn a_ticket_opens_with_its_key_alone_and_whole() {
        let ticket = key(1).seal(b"session", NOW).expect("a ticket");
        assert_eq!(key(1).open(&ticket, NOW).as_deref(), Some(&b"session"[..]));
        assert_eq!(key(2).open(&ticket, NOW), None);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(key(1).open(&changed, NOW), None, "byte {at}");
            assert_eq!(key(1).open(&ticket[..at], NOW), None, "cut at {at}");
        }
        let mut other_secret = [1; 80];
        other_secret[20] = 2;
        let same_name = TicketKey::derive(&other_secret).expect("a key");
        assert_eq!(same_name.open(&ticket, NOW), None);
    }

    #[test]
    fn a_ticket_is_good_for_its_lifetime_and_on_clocks_that_are_a_little_behind() {
        let ticket = key(1).seal(b"session", NOW).expect("a ticket");
        let lifetime = u64::from(LIFETIME);
        for (now, good) in [
            (NOW - CLOCK_SKEW, true),
            (NOW - CLOCK_SKEW - 1, false),
            (NOW + lifetime, true),
            (NOW + lifetime + 1, false),
        ] {
            assert_eq!(key(1).open(&ticket, now).is_some(), good, "{now}");
        }
    }

    #[test]
    fn a_key_has_48_or_80_bytes() {
        for len in [0, 16, 47, 48, 49, 79, 80, 81] {
            let made = TicketKey::derive(&vec![1; len]).is_some();
            assert_eq!(made, len == 48 || len == 80, "{len}");
        }
    }
}
