//! The kinds of values that there are, each with its parser and the words for what is allowed.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use admin::{BlocklistAction, PublicUrl};
use ipnet::IpNet;
use telemetry::logging::LogFormat;
use url::Url;

/// How text becomes a value.
pub(crate) struct Kind<T> {
    /// Completes "it must be".
    pub(crate) allowed: &'static str,
    pub(crate) parse: fn(&str) -> Option<T>,
}

pub(crate) const ADDRESS: Kind<SocketAddr> = Kind {
    allowed: "an IP address with a port, such as 127.0.0.1:8080 or [::1]:8080",
    parse: |text| text.parse().ok(),
};

pub(crate) const BOOLEAN: Kind<bool> = Kind {
    allowed: "true or false",
    parse: |text| text.parse().ok(),
};

pub(crate) const PORT: Kind<u16> = Kind {
    allowed: "a port, from 1 to 65535",
    parse: |text| text.parse().ok().filter(|port| *port != 0),
};

pub(crate) const NETWORK: Kind<IpNet> = Kind {
    allowed: "a network, such as 10.0.0.0/8 or 2001:db8::/32, with no bits set behind its mask",
    parse: |text| {
        let network: IpNet = text.parse().ok()?;
        (network == network.trunc()).then_some(network)
    },
};

pub(crate) const BROKER: Kind<String> = Kind {
    allowed: "host:port, such as kafka-1.example.net:9092",
    parse: |text| {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        (port != 0 && !host.is_empty() && host.chars().all(plain)).then(|| text.to_owned())
    },
};

pub(crate) const HTTP_URL: Kind<Url> = Kind {
    allowed: "an http or https URL with no user, password, path or query, such as http://127.0.0.1:8123",
    parse: |text| {
        let url = Url::parse(text).ok()?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        (matches!(url.scheme(), "http" | "https") && bare).then_some(url)
    },
};

pub(crate) const PUBLIC_URL: Kind<PublicUrl> = Kind {
    allowed: "http:// or https://, a host and perhaps a port, such as https://qr.example.com",
    parse: |text| PublicUrl::parse(text).ok(),
};

pub(crate) const PATH: Kind<PathBuf> = Kind {
    allowed: "a path",
    parse: |text| (!text.is_empty()).then(|| text.into()),
};

pub(crate) const NODE_ID: Kind<String> = Kind {
    allowed: "1 to 128 letters, digits, dots, hyphens and underscores",
    parse: |text| (!text.is_empty() && is_name(text, 128)).then(|| text.to_owned()),
};

pub(crate) const TOPIC_PREFIX: Kind<String> = Kind {
    allowed: "at most 100 letters, digits, dots, hyphens and underscores",
    parse: |text| is_name(text, 100).then(|| text.to_owned()),
};

pub(crate) const DATABASE: Kind<String> = Kind {
    allowed: "a letter or underscore, followed by at most 63 letters, digits and underscores",
    parse: |text| {
        let letters = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        (letters && is_name(text, 64) && !text.contains(['.', '-'])).then(|| text.to_owned())
    },
};

pub(crate) const USER: Kind<String> = Kind {
    allowed: "a user's name",
    parse: |text| (!text.is_empty()).then(|| text.to_owned()),
};

pub(crate) const HEALTH_PATH: Kind<String> = Kind {
    allowed: "a path that begins with / and has no query, such as /healthz",
    parse: |text| {
        let plain = |c: char| c.is_ascii_graphic() && !"?#".contains(c);
        let path = text.len() > 1 && text.starts_with('/') && text.chars().all(plain);
        path.then(|| text.to_owned())
    },
};

/// Whether something is asked for.
pub(crate) const REQUIREMENT: Kind<bool> = Kind {
    allowed: "required or off",
    parse: |text| match text {
        "required" => Some(true),
        "off" => Some(false),
        _ => None,
    },
};

pub(crate) const BLOCKLIST_ACTION: Kind<BlocklistAction> = Kind {
    allowed: "report or pause",
    parse: |text| match text {
        "report" => Some(BlocklistAction::Report),
        "pause" => Some(BlocklistAction::Pause),
        _ => None,
    },
};

pub(crate) const LOG_FORMAT: Kind<LogFormat> = Kind {
    allowed: "auto, json or text",
    parse: |text| text.parse().ok(),
};

pub(crate) const LOG_FILTER: Kind<String> = Kind {
    allowed: "a level (error, warn, info, debug, trace, off) or target=level, comma-separated",
    parse: |text| telemetry::logging::is_filter(text).then(|| text.to_owned()),
};

pub(crate) const SECONDS: Kind<Duration> = Kind {
    allowed: "a number of seconds from 0.001 to 86400",
    parse: |text| {
        let seconds: f64 = text.parse().ok()?;
        (0.001..=86_400.0)
            .contains(&seconds)
            .then(|| Duration::from_secs_f64(seconds))
    },
};

pub(crate) const DELAY: Kind<Duration> = Kind {
    allowed: "a number of seconds from 0 to 3600",
    parse: |text| {
        let seconds: f64 = text.parse().ok()?;
        (0.0..=3_600.0)
            .contains(&seconds)
            .then(|| Duration::from_secs_f64(seconds))
    },
};

pub(crate) const THREADS: Kind<NonZeroUsize> = Kind {
    allowed: "a whole number from 1 to 1024",
    parse: |text| {
        text.parse()
            .ok()
            .filter(|threads: &NonZeroUsize| threads.get() <= 1024)
    },
};

pub(crate) const CONNECTIONS: Kind<NonZeroUsize> = Kind {
    allowed: "a whole number from 1",
    parse: |text| text.parse().ok(),
};

pub(crate) const BACKLOG: Kind<u32> = Kind {
    allowed: "a whole number from 1 to 1048576",
    parse: |text| {
        text.parse()
            .ok()
            .filter(|backlog| (1..=1 << 20).contains(backlog))
    },
};

pub(crate) const SWITCH: Kind<bool> = Kind {
    allowed: "true or false",
    parse: |text| text.parse().ok(),
};

pub(crate) const BYTES: Kind<usize> = Kind {
    allowed: "a whole number of bytes from 256 to 1048576",
    parse: |text| {
        text.parse()
            .ok()
            .filter(|bytes| (256..=1 << 20).contains(bytes))
    },
};

pub(crate) const BODY_BYTES: Kind<u64> = Kind {
    allowed: "a whole number of bytes",
    parse: |text| text.parse().ok(),
};

pub(crate) const SCAN_LOG_BYTES: Kind<u64> = Kind {
    allowed: "a whole number of bytes from 16777216 (two segments)",
    parse: |text| text.parse().ok().filter(|bytes| *bytes >= 16 << 20),
};

pub(crate) const SPOOL_BYTES: Kind<u64> = Kind {
    allowed: "0, or a whole number of bytes from 16777216 (two segments)",
    parse: |text| {
        let bytes = text.parse().ok();
        bytes.filter(|bytes| *bytes == 0 || *bytes >= 16 << 20)
    },
};

pub(crate) const RATE: Kind<u32> = Kind {
    allowed: "a whole number from 0 to 4294967295",
    parse: |text| text.parse().ok(),
};

fn is_name(text: &str, most: usize) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    text.len() <= most && text.chars().all(plain)
}
