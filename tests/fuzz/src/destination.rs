//! Destinations and upstreams: what is accepted stays what it is, leads to a host that a browser finds there too, and no visitor's query
//! leads elsewhere.

use tags::{Destination, QueryMode, UpstreamUrl};
use url::Url;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (text, query) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(upstream) = UpstreamUrl::parse(text, &[]) {
        assert_eq!(UpstreamUrl::from_stored(upstream.as_str()), Ok(upstream));
        assert!(
            Destination::parse(text).is_ok(),
            "an upstream that is no destination"
        );
    }
    let Ok(destination) = Destination::parse(text) else {
        return;
    };
    let stored = destination.as_str();
    assert!(
        stored.len() <= Destination::MAX_BYTES
            && stored.bytes().all(|byte| byte.is_ascii_graphic())
    );
    assert_eq!(Destination::parse(stored).as_ref(), Ok(&destination));
    assert_eq!(Destination::from_stored(stored).as_ref(), Ok(&destination));
    // What a request line lets through is a query.
    let is_query = query
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    for mode in [QueryMode::Drop, QueryMode::Append, QueryMode::Override] {
        if !is_query {
            break;
        }
        let location = mode.apply(stored, query);
        assert!(
            location.bytes().all(|byte| byte.is_ascii_graphic()),
            "{location}"
        );
        let (before, after) = (
            Url::parse(stored).expect("stored"),
            Url::parse(&location).expect("a URL"),
        );
        let place = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port(),
                url.path().to_owned(),
                url.fragment().map(str::to_owned),
            )
        };
        assert_eq!(place(&after), place(&before), "{query} leads elsewhere");
    }
}
