//! How a call is signed (Standard Webhooks 1.0.0, "Symmetric signatures"), and how its secret is written.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tags::WebhookSecret;

/// Marks a secret as a webhook's.
const SECRET_PREFIX: &str = "whsec_";
/// Symmetric signatures.
const VERSION: &str = "v1";

/// A new secret of 256 bits; the specification asks for 192 to 512.
pub(crate) fn random_secret() -> Result<WebhookSecret, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(WebhookSecret(bytes))
}

/// The secret as receivers have it.
pub(crate) fn secret_text(secret: &WebhookSecret) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(secret.0))
}

/// The header field `webhook-signature`: one signature by each secret, so that a receiver may have either while one replaces the other.
pub(super) fn signatures<'a>(
    secrets: impl Iterator<Item = &'a [u8]>,
    id: &str,
    at: Timestamp,
    body: &str,
) -> String {
    let signed = format!("{id}.{}.{body}", at.as_second());
    let signatures = secrets.map(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = hmac::sign(&key, signed.as_bytes());
        format!("{VERSION},{}", STANDARD.encode(signature))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_reference_implementations() {
        // libraries/*/test of standard-webhooks: the same vector in each language.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(
            signatures([&secret[..]].into_iter(), id, at, body),
            expected
        );
        let both = signatures([&[1][..], &secret[..]].into_iter(), id, at, body);
        let (other, same) = both.split_once(' ').unwrap();
        assert_eq!(same, expected);
        assert_ne!(other, expected);
    }

    #[test]
    fn a_secret_is_written_with_its_prefix_and_does_not_repeat() {
        let secret = random_secret().unwrap();
        let text = secret_text(&secret);
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap());
        assert_eq!(bytes.unwrap(), secret.0);
        assert_ne!(secret, random_secret().unwrap());
    }
}
