//! A workspace's webhook: where what the admin has found is sent to, and what it is signed with. Only the admin reads these.

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use url::Url;

use crate::upstream::judge_web;
use crate::{Destination, DestinationError, WorkspaceId};

/// Where a webhook is called: `http` or `https`, a host on the public internet, a path, perhaps a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl(Destination);

/// Why a URL is no webhook's. Its text is what the API shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookUrlError {
    /// What a destination may not be, a webhook's URL may not be either.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// tel, mailto, sms.
    #[error("a webhook is a web server: begin with https:// or http://")]
    Scheme,
    /// A fragment, which no request has.
    #[error("has a fragment, which is never sent: leave out the # and what follows it")]
    Fragment,
}

impl WebhookUrl {
    /// Judges what a person or program gave, by the policy for destinations: the admin goes there itself, and must not be sent into the
    /// operator's own network. Addresses in `networks`, which the operator opens, are allowed all the same; and where there are any, so are
    /// names of local networks, whose addresses are judged when they are connected to.
    ///
    /// ```
    /// use tags::WebhookUrl;
    ///
    /// assert_eq!(WebhookUrl::parse("https://example.com/hook?t=1", &[])?.as_str(), "https://example.com/hook?t=1");
    /// assert!(WebhookUrl::parse("http://169.254.169.254/", &[]).is_err());
    /// # Ok::<(), tags::WebhookUrlError>(())
    /// ```
    pub fn parse(text: &str, networks: &[IpNet]) -> Result<Self, WebhookUrlError> {
        judge_web(text, networks)?;
        let url = Url::parse(text).map_err(|_| DestinationError::NotNormalised)?;
        Self::from_stored(url.as_str())
    }

    /// Takes back what [`WebhookUrl::parse`] once allowed. Hosts are not judged again.
    pub fn from_stored(text: &str) -> Result<Self, WebhookUrlError> {
        let url = Destination::from_stored(text)?;
        if !url.is_web() || url.host().is_none() {
            return Err(WebhookUrlError::Scheme);
        }
        if text.contains('#') {
            return Err(WebhookUrlError::Fragment);
        }
        Ok(Self(url))
    }

    /// The URL, normalised.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The same, as what blocklists judge.
    pub fn as_destination(&self) -> &Destination {
        &self.0
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a webhook's calls are signed with, by HMAC-SHA256. It is kept as it is: a hash of it could sign nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(pub [u8; 32]);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// A secret that another has replaced, and by which calls are signed too for a while longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousWebhookSecret {
    /// The secret.
    pub secret: WebhookSecret,
    /// From when on nothing is signed by it.
    pub expires_at: Timestamp,
}

/// A workspace's webhook, of which it has one at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Where it is called.
    pub url: WebhookUrl,
    /// What its calls are signed with.
    pub secret: WebhookSecret,
    /// What they were signed with before the secret was rotated.
    pub previous: Option<PreviousWebhookSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is not called, because its receiver has said that it is gone.
    pub disabled_at: Option<Timestamp>,
    /// Since when there is none any more.
    pub ended_at: Option<Timestamp>,
}

impl Webhook {
    /// The secrets by which a call is signed at this time, the newest first.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &WebhookSecret> {
        let previous = self.previous.iter();
        let previous = previous.filter(move |previous| now < previous.expires_at);
        std::iter::once(&self.secret).chain(previous.map(|previous| &previous.secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_address_with_path_and_query_is_taken_and_normalised() {
        for (text, normalised) in [
            ("https://example.com/hook", "https://example.com/hook"),
            ("HTTPS://Example.com", "https://example.com/"),
            (
                "http://example.com:8080/a?b=c",
                "http://example.com:8080/a?b=c",
            ),
        ] {
            let url = WebhookUrl::parse(text, &[]).expect(text);
            assert_eq!(url.as_str(), normalised);
            assert_eq!(WebhookUrl::from_stored(normalised), Ok(url));
        }
    }

    #[test]
    fn what_is_no_public_web_address_is_refused_unless_its_network_is_opened() {
        let opened = ["127.0.0.0/8".parse().expect("a network")];
        for text in [
            "http://127.0.0.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost:1/",
        ] {
            assert!(WebhookUrl::parse(text, &[]).is_err(), "{text}");
            assert!(WebhookUrl::parse(text, &opened).is_ok(), "{text}");
        }
        for text in [
            "http://169.254.169.254/latest/meta-data/",
            "http://10.0.0.1/",
            "http://[::1]/",
            "https://user:secret@example.com/",
            "https://example.com/#part",
            "mailto:ada@example.com",
            "ftp://example.com/",
            "example.com",
            "",
        ] {
            assert!(WebhookUrl::parse(text, &opened).is_err(), "{text}");
        }
    }

    #[test]
    fn the_secret_before_signs_too_until_the_overlap_is_over() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let webhook = Webhook {
            workspace: WorkspaceId::default_workspace(),
            url: WebhookUrl::parse("https://example.com/", &[]).expect("a URL"),
            secret: WebhookSecret([2; 32]),
            previous: Some(PreviousWebhookSecret {
                secret: WebhookSecret([1; 32]),
                expires_at: at(10),
            }),
            created_at: at(0),
            disabled_at: None,
            ended_at: None,
        };
        let bytes = |second| {
            webhook
                .secrets(at(second))
                .map(|it| it.0[0])
                .collect::<Vec<_>>()
        };
        assert_eq!((bytes(9), bytes(10)), (vec![2, 1], vec![2]));
        assert!(!format!("{webhook:?}").contains("2, 2"));
    }
}
