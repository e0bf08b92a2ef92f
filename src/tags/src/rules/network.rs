//! Networks as rules name them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::InvalidRuleValue;
use super::nearest::shown;

/// Reads a network; an IPv4-mapped one is the IPv4 one that it stands for. Bits below its mask are refused: who writes them may mean
/// another network.
pub fn parse_network(text: &str) -> Result<IpNet, InvalidRuleValue> {
    let Ok(net) = text.parse::<IpNet>() else {
        let detail = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => format!(
                "the length of its mask is missing: write {address}/32 for this address alone"
            ),
            Ok(IpAddr::V6(address)) => format!(
                "the length of its mask is missing: write {address}/128 for this address alone"
            ),
            Err(_) => format!(
                "'{}' is not a network: write an address and the length of its mask, such as 203.0.113.0/24 or 2001:db8::/32",
                shown(text)
            ),
        };
        return Err(InvalidRuleValue(detail));
    };
    if net.addr() != net.network() {
        let detail = format!("has bits below its mask: write {}", net.trunc());
        return Err(InvalidRuleValue(detail));
    }
    Ok(unmapped(net))
}

/// Whether a network is as [`parse_network`] makes them.
pub(super) fn is_parsed(net: &IpNet) -> bool {
    net.addr() == net.network() && unmapped(*net) == *net
}

/// An IPv4-mapped network as the IPv4 one that it stands for.
fn unmapped(net: IpNet) -> IpNet {
    const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
    match net {
        IpNet::V6(six) if MAPPED.contains(&six) => {
            let four = six.addr().to_ipv4_mapped();
            let four = four.and_then(|address| Ipv4Net::new(address, six.prefix_len() - 96).ok());
            four.map_or(net, IpNet::V4)
        }
        _ => net,
    }
}
