//! Networks that operators of crawlers publish as their own. Who comes from there is a program, whatever it calls itself; and an address
//! cannot be forged, as a User-Agent can.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use stamp::{List, Lists};

/// The longest file, in bytes. The longest that Google publishes has some 100 KiB.
const MAX_BYTES: u64 = 4 << 20;
/// Nobody's crawlers have a 256th of all IPv4 addresses. What is larger than this and the next is a mistake, and would make bots of people.
const LARGEST_V4: u8 = 8;
/// Larger ones than this no registry gives to anyone.
const LARGEST_V6: u8 = 16;

/// The networks of all operators, from files that are followed; without files, nobody is known by their network. A file is as Google, Bing
/// and others publish it (`{"prefixes": [{"ipv4Prefix": "192.0.2.0/24"}, {"ipv6Prefix": "2001:db8::/32"}]}`), or has a network or an address
/// in each line, and comments behind `#`. Its name, without what follows the last dot, is its operator's, in lower case.
#[derive(Debug, Default)]
pub struct CrawlerNetworks(Lists<Networks>);

/// One operator's networks.
#[derive(Debug)]
pub struct Networks {
    operator: Arc<str>,
    /// The first and the last address of each, sorted, none within another: 8 bytes a network.
    v4: Box<[(u32, u32)]>,
    /// The same, 32 bytes each.
    v6: Box<[(u128, u128)]>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CrawlersError {
    /// Not there, not ours to read, or no file.
    #[error("cannot read the networks of crawlers in {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Larger than any that is published.
    #[error("{path} is no list of networks of crawlers: it has more than {MAX_BYTES} bytes")]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// JSON, but not as operators publish it, or cut off.
    #[error(
        "{path} has no networks as operators of crawlers publish them: {source}; write {{\"prefixes\": [{{\"ipv4Prefix\": \"192.0.2.0/24\"}}, {{\"ipv6Prefix\": \"2001:db8::/32\"}}]}}"
    )]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A line that is something else.
    #[error(
        "line {line} of {path} is no network; write '192.0.2.0/24', '2001:db8::/32' or an address, one a line, and comments behind '#'"
    )]
    NotANetwork {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// More than any operator has, in one or in what lies side by side.
    #[error(
        "{path} has all of {network} as a crawler's, which would make bots of people; correct it: /{LARGEST_V4} is the most in IPv4, and /{LARGEST_V6} in IPv6"
    )]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The network.
        network: IpNet,
    },
    /// Not one network.
    #[error("{path} has no networks, which is taken for an accident; leave out the file instead")]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// What it would be called, another is.
    #[error(
        "there are two files of crawlers' networks named {name}: operators are told apart by them, so give them different ones"
    )]
    SameName {
        /// The file's name.
        name: String,
    },
}

impl CrawlersError {
    /// Every reason, for a metric that shows each from the start.
    pub const REASONS: [&str; 7] = [
        "unreadable",
        "too_long",
        "malformed",
        "not_a_network",
        "too_large",
        "empty",
        "same_name",
    ];

    /// Which of them it is.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLong { .. } => "too_long",
            Self::Malformed { .. } => "malformed",
            Self::NotANetwork { .. } => "not_a_network",
            Self::TooLarge { .. } => "too_large",
            Self::Empty { .. } => "empty",
            Self::SameName { .. } => "same_name",
        }
    }
}

impl CrawlerNetworks {
    /// Whose crawler has this address; an IPv4-mapped one is the IPv4 one. Allocates nothing.
    pub fn operator(&self, address: IpAddr) -> Option<Arc<str>> {
        let address = address.to_canonical();
        self.0.find(|_, networks| {
            networks
                .contain(address)
                .then(|| Arc::clone(&networks.operator))
        })
    }
}

/// Its files, to follow them.
impl Deref for CrawlerNetworks {
    type Target = Lists<Networks>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Networks {
    fn contain(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => is_within(&self.v4, address.to_bits()),
            IpAddr::V6(address) => is_within(&self.v6, address.to_bits()),
        }
    }
}

/// Whether one of these sorted ranges has it.
fn is_within<T: Ord>(ranges: &[(T, T)], address: T) -> bool {
    let begun = ranges.partition_point(|(first, _)| *first <= address);
    let nearest = ranges[..begun].last();
    nearest.is_some_and(|(_, last)| address <= *last)
}

impl List for Networks {
    type Error = CrawlersError;

    fn from_file(path: &Path) -> Result<Self, CrawlersError> {
        let text = text(path)?;
        let path = path.to_owned();
        let networks = if text.trim_ascii_start().starts_with(b"{") {
            match published(&text) {
                Ok(networks) => networks,
                Err(source) => return Err(CrawlersError::Malformed { path, source }),
            }
        } else {
            match lines(&text) {
                Ok(networks) => networks,
                Err(line) => return Err(CrawlersError::NotANetwork { path, line }),
            }
        };
        // Sorted, and joined where they overlap or touch, so that no half of the internet comes in parts.
        let networks = IpNet::aggregate(&networks);
        if let Some(&network) = networks.iter().find(|network| is_too_large(network)) {
            return Err(CrawlersError::TooLarge { path, network });
        }
        if networks.is_empty() {
            return Err(CrawlersError::Empty { path });
        }
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(v4_network) => v4.push((
                    v4_network.network().to_bits(),
                    v4_network.broadcast().to_bits(),
                )),
                IpNet::V6(v6_network) => v6.push((
                    v6_network.network().to_bits(),
                    v6_network.broadcast().to_bits(),
                )),
            }
        }
        let name = path.file_stem().unwrap_or_default();
        Ok(Self {
            operator: name.to_string_lossy().to_lowercase().into(),
            v4: v4.into(),
            v6: v6.into(),
        })
    }

    fn size(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    fn same_name(name: String) -> CrawlersError {
        CrawlersError::SameName { name }
    }
}

fn text(path: &Path) -> Result<Vec<u8>, CrawlersError> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    let path = path.to_owned();
    match read() {
        Err(source) => Err(CrawlersError::Unreadable { path, source }),
        Ok(text) if text.len() as u64 > MAX_BYTES => Err(CrawlersError::TooLong { path }),
        Ok(text) => Ok(text),
    }
}

/// What operators publish; of more that is in it, such as `creationTime`, nothing is needed.
#[derive(Deserialize)]
struct Published {
    prefixes: Vec<Prefix>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prefix {
    ipv4_prefix: Option<Ipv4Net>,
    ipv6_prefix: Option<Ipv6Net>,
}

fn published(text: &[u8]) -> Result<Vec<IpNet>, serde_json::Error> {
    let published: Published = serde_json::from_slice(text)?;
    let networks = published.prefixes.into_iter().flat_map(|prefix| {
        let v4 = prefix.ipv4_prefix.map(IpNet::V4);
        v4.into_iter().chain(prefix.ipv6_prefix.map(IpNet::V6))
    });
    Ok(networks.collect())
}

/// One a line; where not, the line's number.
fn lines(text: &[u8]) -> Result<Vec<IpNet>, usize> {
    let mut networks = Vec::new();
    for (number, line) in (1_usize..).zip(text.split(|byte| *byte == b'\n')) {
        let line = std::str::from_utf8(line).map_err(|_| number)?;
        let entry = line.split_once('#').map_or(line, |(entry, _)| entry).trim();
        if !entry.is_empty() {
            let address = || entry.parse::<IpAddr>().map(IpNet::from);
            let network = entry.parse().or_else(|_| address());
            networks.push(network.map_err(|_| number)?);
        }
    }
    Ok(networks)
}

fn is_too_large(network: &IpNet) -> bool {
    network.prefix_len()
        < match network {
            IpNet::V4(_) => LARGEST_V4,
            IpNet::V6(_) => LARGEST_V6,
        }
}
