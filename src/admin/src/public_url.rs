//! What short URLs begin with, and how they are made from it.

use tags::{Domain, InvalidName};
use url::Url;

/// What short URLs begin with: `http` or `https`, a host, perhaps a port.
#[derive(Clone, Debug)]
pub struct PublicUrl {
    url: Url,
    domain: Domain,
}

/// Why a public URL was refused.
#[derive(Debug, thiserror::Error)]
pub enum PublicUrlError {
    /// Not such a URL.
    #[error(
        "'{0}' is not a public URL: use http:// or https://, a host and perhaps a port, such as https://qr.example.com"
    )]
    Shape(String),
    /// Its host cannot be one.
    #[error(transparent)]
    Host(#[from] InvalidName),
}

impl PublicUrl {
    /// Reads a URL without user, path, query and fragment.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let shape = || PublicUrlError::Shape(text.to_owned());
        let url = Url::parse(text).map_err(|_| shape())?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare {
            return Err(shape());
        }
        let domain = Domain::parse(url.host_str().ok_or_else(shape)?)?;
        Ok(Self { url, domain })
    }

    /// Its host: the default domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The address of a code: on the default domain with the public URL's port, on others with their scheme's.
    pub fn short_url(&self, domain: &Domain, code: &str) -> String {
        if *domain == self.domain {
            return format!("{}{code}", self.url);
        }
        let host = if domain.as_str().contains(':') {
            format!("[{domain}]")
        } else {
            domain.to_string()
        };
        format!("{}://{host}/{code}", self.url.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_urls_have_the_public_port_on_the_default_domain_alone() {
        let public = PublicUrl::parse("http://127.0.0.1:8080").expect("valid");
        assert_eq!(
            public.short_url(public.domain(), "abc"),
            "http://127.0.0.1:8080/abc"
        );
        let other = Domain::parse("qr.example.com").expect("valid");
        assert_eq!(public.short_url(&other, "abc"), "http://qr.example.com/abc");
        let v6 = PublicUrl::parse("https://[2001:db8::1]").expect("valid");
        assert_eq!(
            v6.short_url(v6.domain(), "abc"),
            "https://[2001:db8::1]/abc"
        );
    }

    #[test]
    fn a_public_url_has_nothing_behind_its_host() {
        for bad in [
            "qr.example.com",
            "ftp://a.b",
            "https://a.b/x",
            "https://a.b?x",
            "https://a.b#x",
            "https://u@a.b",
            "https://",
        ] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
