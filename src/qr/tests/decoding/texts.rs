//! Texts that symbols are made of.

/// Short, long and punctuated URLs, those of other schemes, and every printable character.
pub(crate) fn urls() -> Vec<String> {
    let every_character: String = (b'!'..=b'~').map(char::from).collect();
    [
        "A",
        "7",
        "https://qr.example.com/k7Tq2mX",
        "HTTPS://QR.EXAMPLE.COM/ABC234XYZ",
        "http://a.example/",
        "https://qr.example.com:8443/q/spring-2026_b",
        "https://example.com/?a=1&b=%20%C3%BC&c=x+y#part-2",
        "https://example.com/~user/(x);v=1,2/@here/$5!*'",
        "https://xn--bcher-kva.example/caf%C3%A9",
        "https://[2001:db8::1]:8080/path?q=[1]{2}|3",
        "tel:+4930123456",
        "mailto:a@example.com?subject=Hello%20there",
        "https://id.example.org/01/09506000134352/10/ABC123?17=271231",
        "text with  spaces  inside",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([every_character])
    .collect()
}

/// A URL of exactly `length` characters.
pub(crate) fn url_of_length(length: usize) -> String {
    let filling = "Path0-segment_/of.a~long%20URL?with=query&and=more";
    "https://example.com/"
        .chars()
        .chain(filling.chars().cycle())
        .take(length)
        .collect()
}
