//! How blocklists are written: a host on each line; or as hosts files have it, an address and the names that lead there; or as the
//! lists of content blockers have it, `||host^`. What such lists say beyond that is passed over.

use std::io::{self, BufRead, Read};
use std::net::{IpAddr, Ipv6Addr};

use url::Host;

/// Nobody writes a longer line; a file without line breaks is not read to memory whole.
const MAX_LINE: u64 = 64 << 10;
/// RFC 1035 §2.3.4, without the root's dot.
const MAX_NAME: usize = 253;

/// Why a text is no list.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Empty,
    NotAList {
        unknown: usize,
        known: usize,
        line: usize,
    },
    TooLong,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Empty, or a comment.
    Nothing,
    /// Hosts, which were given on.
    Entry,
    /// Something else.
    Unknown,
}

/// Gives every host of a list on, in the form that a destination has it; `take` says whether there is room for more.
pub(crate) fn read(
    mut text: impl BufRead,
    mut take: impl FnMut(&str) -> bool,
) -> Result<(), ReadError> {
    let (mut known, mut unknown, mut first_unknown) = (0_usize, 0_usize, 0);
    let mut has_room = true;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = (&mut text).take(MAX_LINE).read_until(b'\n', &mut line);
        if read.map_err(ReadError::Io)? == 0 {
            if number == 1 {
                return Err(ReadError::Empty);
            }
            break;
        }
        match judge(&line, |host| has_room &= take(host)) {
            Line::Nothing => {}
            Line::Entry => known += 1,
            Line::Unknown => {
                unknown += 1;
                if unknown == 1 {
                    first_unknown = number;
                }
            }
        }
        if !has_room {
            return Err(ReadError::TooLong);
        }
    }
    // Published lists have a few lines that are not what they should be. The page that says that a list has moved has few that are.
    if unknown > known {
        let line = first_unknown;
        return Err(ReadError::NotAList {
            unknown,
            known,
            line,
        });
    }
    Ok(())
}

fn judge(line: &[u8], mut take: impl FnMut(&str)) -> Line {
    let Ok(line) = std::str::from_utf8(line) else {
        return Line::Unknown;
    };
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with(['#', '!']) || line.starts_with("[Adblock") {
        return Line::Nothing;
    }
    let words = line.split_whitespace();
    let mut words = words.take_while(|word| !word.starts_with('#'));
    let first = words.next().unwrap_or_default();
    let mut names = words.peekable();
    if names.peek().is_some() {
        if !is_address(first) {
            return Line::Unknown;
        }
        let mut is_entry = true;
        for name in names {
            // The machine's own names, such as localhost, which every hosts file begins with.
            if is_address(name) || !name.contains('.') {
                continue;
            }
            is_entry &= give(name, &mut take);
        }
        return if is_entry { Line::Entry } else { Line::Unknown };
    }
    let name = match first.strip_prefix("||") {
        Some(rest) => rest.strip_suffix('^'),
        None => Some(first),
    };
    let name = name.map(|name| name.strip_prefix('*').unwrap_or(name));
    let name = name.map(|name| name.strip_prefix('.').unwrap_or(name));
    if name.is_some_and(|name| give(name, &mut take)) {
        Line::Entry
    } else {
        Line::Unknown
    }
}

/// Gives a host on as destinations have it (WHATWG: IDNA, lower case, addresses in one spelling), without the root's dot.
fn give(name: &str, take: &mut impl FnMut(&str)) -> bool {
    let host = match name.parse::<Ipv6Addr>() {
        Ok(address) => Host::Ipv6(address),
        Err(_) => match Host::parse(name.strip_suffix('.').unwrap_or(name)) {
            Ok(host) => host,
            Err(_) => return false,
        },
    };
    match host {
        Host::Domain(name) if name.len() > MAX_NAME => return false,
        Host::Domain(name) => take(&name),
        address => take(&address.to_string()),
    }
    true
}

/// As in a hosts file, where an address may have a zone.
fn is_address(word: &str) -> bool {
    let address = word.split_once('%').map_or(word, |(address, _)| address);
    address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &[u8]) -> Result<Vec<String>, ReadError> {
        let mut hosts = Vec::new();
        read(text, |host| {
            hosts.push(host.to_owned());
            true
        })?;
        Ok(hosts)
    }

    #[test]
    fn every_way_of_writing_a_list_is_understood() {
        let text = "\u{feff}# a comment\r
[Adblock Plus 2.0]
! another
plain.example # with a comment
UPPER.Example.\r
*.wildcard.example
.dotted.example
  bücher.example\t
under_score.example
||blocker.example^
0.0.0.0 hosts.example also.example # here too
127.0.0.1 localhost localhost.localdomain
::1 ip6-localhost
fe80::1%lo0 localhost
0.0.0.0 0.0.0.0
:: six.example
203.0.113.5
0x7f.1
2001:DB8::1
[2001:db8::2]

zip
last.example";
        assert_eq!(
            hosts(text.as_bytes()).unwrap(),
            [
                "plain.example",
                "upper.example",
                "wildcard.example",
                "dotted.example",
                "xn--bcher-kva.example",
                "under_score.example",
                "blocker.example",
                "hosts.example",
                "also.example",
                "localhost.localdomain",
                "six.example",
                "203.0.113.5",
                "127.0.0.1",
                "[2001:db8::1]",
                "[2001:db8::2]",
                "zip",
                "last.example",
            ]
        );
    }

    #[test]
    fn a_few_lines_that_name_no_host_are_passed_over() {
        let text = b"one.example\ntwo.example\n@@||allowed.example^\nhttps://three.example/page\n";
        assert_eq!(hosts(text).unwrap(), ["one.example", "two.example"]);
        for odd in [
            "a.example##.banner",
            "||a.example^$third-party",
            "||a.example",
            "a.example CNAME .",
            "a.example:80",
            "a.example/x",
            "user@a.example",
            "*",
            "||^",
            ".",
            "a b",
            "\u{0}.example",
            "1.2.3.256",
        ] {
            let text = format!("one.example\n{odd}\n");
            assert_eq!(hosts(text.as_bytes()).unwrap(), ["one.example"], "{odd}");
        }
        assert_eq!(
            hosts(b"one.example\n\xff\xfe.example\n").unwrap(),
            ["one.example"]
        );
    }

    #[test]
    fn what_is_no_list_is_refused_and_says_where() {
        let page = b"\n<!doctype html>\n<title>Moved</title>\nexample.com\n";
        let refused = hosts(page).unwrap_err();
        assert!(
            matches!(
                refused,
                ReadError::NotAList {
                    unknown: 2,
                    known: 1,
                    line: 2
                }
            ),
            "{refused:?}"
        );
        let endless = vec![b'a'; 10 * MAX_LINE as usize];
        assert!(matches!(hosts(&endless), Err(ReadError::NotAList { .. })));
        assert!(matches!(hosts(b""), Err(ReadError::Empty)));
        assert!(hosts(b"# none\n").unwrap().is_empty());
    }

    #[test]
    fn a_list_that_is_too_long_is_not_read_on() {
        let mut rooms = 2;
        let refused = read(&b"a.example\nb.example\nc.example\nd.example\n"[..], |_| {
            rooms -= 1;
            rooms > 0
        });
        assert!(matches!(refused, Err(ReadError::TooLong)));
        assert_eq!(rooms, 0);
    }
}
