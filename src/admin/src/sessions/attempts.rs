//! How often a password may be tried. The memory is the same whatever number of names and addresses there are.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::rate_limits::{Rate, Table};

/// For one account from one address: who guesses gets no further than 1,440 a day.
const PAIR: Rate = Rate {
    burst: 10,
    every: Duration::from_secs(60),
};
/// For one account from everywhere. Larger, so that others' guesses do not keep its owner out.
const ACCOUNT: Rate = Rate {
    burst: 100,
    every: Duration::from_secs(10),
};
/// For all accounts from one address. Behind a proxy, that is everyone's.
const ADDRESS: Rate = Rate {
    burst: 100,
    every: Duration::from_secs(2),
};

/// Attempts to sign in, by account and address.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    pair: Table,
    account: Table,
    address: Table,
}

impl Attempts {
    /// Counts an attempt; else says after how long another may be made.
    pub(crate) fn begin(
        &self,
        account: (&str, &str),
        remote: &str,
        now: Instant,
    ) -> Result<(), Duration> {
        let network = network(remote);
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.pair.take((account, network), PAIR, now)?;
        tables.account.take(account, ACCOUNT, now)?;
        tables.address.take(network, ADDRESS, now)
    }

    /// It was the right password: who knows it has not guessed.
    pub(crate) fn succeeded(&self, account: (&str, &str), remote: &str) {
        let network = network(remote);
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.pair.give_back((account, network), PAIR);
        tables.account.give_back(account, ACCOUNT);
        tables.address.give_back(network, ADDRESS);
    }
}

/// Of IPv6 the /64, of which a client may use every address.
fn network(remote: &str) -> u128 {
    match remote
        .parse::<IpAddr>()
        .map(|address| address.to_canonical())
    {
        Ok(IpAddr::V4(address)) => address.to_bits().into(),
        Ok(IpAddr::V6(address)) => address.to_bits() >> 64 << 64,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: (&str, &str) = ("default", "ada@example.com");

    fn allowed(attempts: &Attempts, account: (&str, &str), remote: &str, now: Instant) -> usize {
        let tries = 0..1_000;
        tries
            .take_while(|_| attempts.begin(account, remote, now).is_ok())
            .count()
    }

    #[test]
    fn who_guesses_has_ten_tries_and_then_one_a_minute() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        assert_eq!(allowed(&attempts, ADA, "192.0.2.1", now), 10);
        let wait = attempts.begin(ADA, "192.0.2.1", now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(60));
        let minute = now + Duration::from_secs(60);
        assert_eq!(allowed(&attempts, ADA, "192.0.2.1", minute), 1);
        let hour = now + Duration::from_secs(3_600);
        assert_eq!(allowed(&attempts, ADA, "192.0.2.1", hour), 10);
    }

    #[test]
    fn guesses_from_elsewhere_keep_nobody_out_until_there_are_very_many() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for host in 1..=9 {
            assert_eq!(allowed(&attempts, ADA, &format!("192.0.2.{host}"), now), 10);
        }
        assert_eq!(allowed(&attempts, ADA, "198.51.100.1", now), 10);
        assert_eq!(allowed(&attempts, ADA, "198.51.100.2", now), 0);
        let bob = ("default", "bob@example.com");
        assert_eq!(allowed(&attempts, bob, "198.51.100.2", now), 10);
    }

    #[test]
    fn an_address_tries_so_many_accounts_and_a_network_of_ipv6_is_one_address() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let tried = (0..1_000)
            .take_while(|number| {
                let (email, remote) =
                    (format!("{number}@x.example"), format!("2001:db8::{number}"));
                attempts.begin(("default", &email), &remote, now).is_ok()
            })
            .count();
        assert_eq!(tried, 100);
        assert!(attempts.begin(ADA, "2001:db8:0:1::1", now).is_ok());
    }

    #[test]
    fn who_knows_the_password_signs_in_as_often_as_they_like() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..1_000 {
            attempts.begin(ADA, "192.0.2.1", now).unwrap();
            attempts.succeeded(ADA, "192.0.2.1");
        }
    }
}
