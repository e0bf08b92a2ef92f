//! What client hints tell: `Sec-CH-UA`, `Sec-CH-UA-Mobile` and `Sec-CH-UA-Platform` (User-Agent Client Hints, W3C Community Group Report),
//! which browsers built on Chromium send over TLS without being asked. They come before the User-Agent, which those browsers no longer keep
//! true. What is not a structured field (RFC 9651) says nothing.

use sfv::{BareItem, Item, List, ListEntry, Parser};
use tags::{Browser, Device, Os};

/// Brands by what they are; the first that is found counts, since each names the engine beside itself.
const BRANDS: &[(&str, Browser)] = &[
    ("Android WebView", Browser::InApp),
    ("Microsoft Edge WebView2", Browser::InApp),
    ("Microsoft Edge", Browser::Edge),
    ("Samsung Internet", Browser::Samsung),
    ("Opera", Browser::Opera),
    ("Opera GX", Browser::Opera),
    ("OperaMobile", Browser::Opera),
    ("Opera Mobile", Browser::Opera),
    ("OperaMini", Browser::Opera),
    ("Opera Mini", Browser::Opera),
    ("Opera Mini Android", Browser::Opera),
    ("Opera Touch", Browser::Opera),
    ("Google Chrome", Browser::Chrome),
    ("HeadlessChrome", Browser::Chrome),
    ("Firefox", Browser::Firefox),
    ("Safari", Browser::Safari),
];
/// The engine's own, a browser where no other brand is named beside it.
const ENGINE: &str = "Chromium";

/// The longest hint that is listened to, in bytes: several times what browsers send. It bounds the work that a hostile one causes.
const MAX_HINT: usize = 1024;

/// A hint, or nothing in place of one that is too long.
pub(crate) fn heard(hint: &[u8]) -> &[u8] {
    if hint.len() > MAX_HINT { b"" } else { hint }
}

/// The browser that `Sec-CH-UA` names; an empty name names none.
pub(crate) fn browser(brands: &[u8]) -> Option<Browser> {
    let list: List = Parser::new(brands).parse().ok()?;
    let brands: Vec<&str> = list.iter().filter_map(brand).collect();
    if brands.is_empty() {
        return None;
    }
    let known = BRANDS.iter().find(|(name, _)| brands.contains(name));
    let engine_alone = brands.contains(&ENGINE)
        && brands
            .iter()
            .all(|brand| *brand == ENGINE || is_grease(brand));
    Some(match known {
        Some((_, browser)) => *browser,
        None if engine_alone => Browser::Chrome,
        None => Browser::Other,
    })
}

fn brand(entry: &ListEntry) -> Option<&str> {
    match entry {
        ListEntry::Item(Item {
            bare_item: BareItem::String(text),
            ..
        }) => Some(text.as_str()).filter(|name| !name.is_empty()),
        _ => None,
    }
}

/// Whether it is the brand that browsers make up, so that nobody relies on the list: `Not A;Brand`, with other punctuation in each version.
fn is_grease(brand: &str) -> bool {
    let letters: String = brand.chars().filter(char::is_ascii_alphabetic).collect();
    letters.starts_with("Not") && letters.ends_with("Brand")
}

/// What `Sec-CH-UA-Mobile` says.
pub(crate) fn mobile(hint: &[u8]) -> Option<bool> {
    let item: Item = Parser::new(hint).parse().ok()?;
    match item.bare_item {
        BareItem::Boolean(mobile) => Some(mobile),
        _ => None,
    }
}

/// The operating system that `Sec-CH-UA-Platform` names; `Unknown` names none.
pub(crate) fn os(platform: &[u8]) -> Option<Os> {
    let item: Item = Parser::new(platform).parse().ok()?;
    let BareItem::String(name) = &item.bare_item else {
        return None;
    };
    match name.as_str() {
        "" | "Unknown" => None,
        "Android" => Some(Os::Android),
        "iOS" => Some(Os::Ios),
        "Windows" => Some(Os::Windows),
        "macOS" | "Mac OS X" => Some(Os::Macos),
        "Linux" => Some(Os::Linux),
        "Chrome OS" | "Chromium OS" | "ChromeOS" => Some(Os::Chromeos),
        _ => Some(Os::Other),
    }
}

/// The class of a device, of which the hints say whether it is a phone and perhaps its operating system, and the User-Agent the rest.
pub(crate) fn device(
    is_mobile: Option<bool>,
    os: Option<Os>,
    by_user_agent: Option<Device>,
) -> Option<Device> {
    match (is_mobile, by_user_agent) {
        (None, by_user_agent) => by_user_agent,
        (Some(true), _) => Some(Device::Mobile),
        // No phone; a television that says so in its User-Agent is believed.
        (Some(false), Some(Device::Tv)) => Some(Device::Tv),
        (Some(false), known) => Some(match os {
            Some(Os::Android | Os::Ios) => Device::Tablet,
            Some(Os::Windows | Os::Macos | Os::Linux | Os::Chromeos) => Device::Desktop,
            _ => known
                .filter(|known| *known != Device::Mobile)
                .unwrap_or(Device::Other),
        }),
    }
}
