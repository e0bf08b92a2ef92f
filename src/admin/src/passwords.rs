//! Passwords: which are good enough, and how they are kept and compared.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use tags::PasswordHash;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// The shortest and the longest password, in characters. Length is what makes one hard to guess (NIST SP 800-63B §3.1.1).
const MIN_LENGTH: usize = 12;
const MAX_LENGTH: usize = 256;
/// So many are hashed at a time, each in 19 MiB: whoever sends passwords takes no more than that.
const AT_A_TIME: usize = 2;

/// Hashes passwords with Argon2id, with the costs that OWASP's Password Storage Cheat Sheet recommends, which are the crate's own:
/// 19 MiB, two passes, one lane.
pub(crate) struct Passwords(Semaphore);

impl Default for Passwords {
    fn default() -> Self {
        Self(Semaphore::new(AT_A_TIME))
    }
}

/// The library, or the machine, failed.
#[derive(Debug, thiserror::Error)]
#[error("hashing a password: {0}")]
struct HashError(argon2::password_hash::Error);

/// Whether a password may be chosen; else what is asked of one.
pub(crate) fn check_password(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if (MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        return Ok(text.to_owned());
    }
    Err(format!("must have {MIN_LENGTH} to {MAX_LENGTH} characters"))
}

impl Passwords {
    /// What is kept of a password.
    pub(crate) async fn hash(&self, password: String) -> Result<PasswordHash, Problem> {
        let mut salt = [0; phc::Salt::RECOMMENDED_LENGTH];
        getrandom::fill(&mut salt).map_err(|error| Problem::internal(&error))?;
        let hash = move || {
            let hash: phc::PasswordHash =
                Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)?;
            Ok(PasswordHash(hash.to_string()))
        };
        self.run(hash).await
    }

    /// Whether this is the password.
    pub(crate) async fn verify(
        &self,
        password: String,
        kept: PasswordHash,
    ) -> Result<bool, Problem> {
        let verify =
            move || match Argon2::default().verify_password(password.as_bytes(), kept.0.as_str()) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            };
        self.run(verify).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.0.acquire().await;
        let _place = place.map_err(|error| Problem::internal(&error))?;
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(|error| Problem::internal(&HashError(error))),
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_kept_as_a_salted_argon2id_hash_that_only_it_matches() {
        let passwords = Passwords::default();
        let secret = "correct horse battery";
        let hash = passwords.hash(secret.to_owned()).await.unwrap();
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.0
        );
        let again = passwords.hash(secret.to_owned()).await.unwrap();
        assert_ne!(again.0, hash.0);
        for (given, expected) in [
            (secret, true),
            ("correct horse batterY", false),
            ("", false),
        ] {
            let verified = passwords.verify(given.to_owned(), hash.clone()).await;
            assert_eq!(verified.unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn a_password_is_long_enough_in_characters_of_any_script() {
        assert!(check_password("elf Zeichen").is_err());
        assert!(check_password("zwölf Zeiche").is_ok());
        assert!(check_password(&"ü".repeat(256)).is_ok());
        assert!(check_password(&"x".repeat(257)).is_err());
    }
}
