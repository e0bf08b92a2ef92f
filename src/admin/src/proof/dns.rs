//! The token in DNS, and the real DNS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;
use tokio::time::timeout;

use super::{Challenge, Resolver};

/// How long all of them may take together.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How long a server may take to answer, and how often it is asked again.
const PATIENCE: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 1;
/// The most records that are told of, and characters of each.
const SHOWN: usize = 3;
const SHOWN_LENGTH: usize = 60;

/// What is amiss, for people.
pub(super) async fn look_up(
    resolver: &dyn Resolver,
    challenge: &Challenge<'_>,
) -> Result<(), String> {
    let name = challenge.record_name();
    if challenge.domain.is_address() {
        return Err("An address has no TXT record.".to_owned());
    }
    let asked = timeout(LOOK_UP, resolver.txt(&name)).await;
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    match asked.unwrap_or_else(late) {
        Ok(texts) if texts.iter().any(|text| text.trim() == challenge.token) => Ok(()),
        Ok(texts) if texts.is_empty() => Err(format!("DNS has no TXT record at {name}.")),
        Ok(texts) => Err(format!(
            "The TXT records at {name} are others: {}.",
            shown(&texts)
        )),
        Err(error) => Err(format!("DNS could not be asked for {name}: {error}.")),
    }
}

fn shown(texts: &[String]) -> String {
    let first = texts.iter().take(SHOWN);
    let mut shown: Vec<String> = first
        .map(|text| format!("'{}'", text.chars().take(SHOWN_LENGTH).collect::<String>()))
        .collect();
    if texts.len() > SHOWN {
        shown.push(format!("and {} more", texts.len() - SHOWN));
    }
    shown.join(", ")
}

/// The servers that `/etc/resolv.conf` names. It is read each time, and nothing is kept: who has just set a record wants it seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait::async_trait]
impl Resolver for SystemResolver {
    async fn txt(&self, name: &str) -> io::Result<Vec<String>> {
        let mut builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = PATIENCE;
        options.attempts = ATTEMPTS;
        let resolver = builder.build().map_err(io::Error::other)?;
        let found = match resolver.txt_lookup(absolute(name)).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(into_io(error)),
        };
        let texts = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(txt) => {
                    Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned())
                }
                _ => None,
            });
        Ok(texts.collect())
    }

    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // An address needs no looking up, and has no dot behind it.
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found = tokio::net::lookup_host((absolute(host), port)).await?;
        Ok(found.collect())
    }
}

/// The name with a dot behind it, so that no search domain of this machine's is tried too.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn into_io(error: NetError) -> io::Error {
    match error {
        NetError::Io(error) => io::Error::new(error.kind(), error.to_string()),
        error => io::Error::other(error),
    }
}
