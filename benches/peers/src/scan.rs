//! The codes, where they lead, and the request of a phone's browser that scanned one. The driver knows the same rule.

/// The host name that all servers answer for.
pub(crate) const HOST: &str = "qr.example.com";

/// The code of a tag by its number: 8 characters, as generated ones nearly have.
pub(crate) fn code(number: u64) -> String {
    format!("c{number:07}")
}

/// Where it leads: 80 characters.
pub(crate) fn destination(number: u64) -> String {
    format!("https://www.example.com/campaigns/landing/{number:07}?utm_source=qr&utm_medium=print")
}

/// The head of a scan, about 400 bytes, as an iPhone sends it.
pub(crate) fn request(number: u64, keep_alive: bool) -> Vec<u8> {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!(
        "GET /q/{} HTTP/1.1\r\nHost: {HOST}\r\n\
         User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: de-DE,de;q=0.9,en;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: {connection}\r\n\r\n",
        code(number)
    )
    .into_bytes()
}

/// Numbers below `tags` that look random and are the same each time: a multiplicative step through all of them.
pub(crate) struct Numbers {
    state: u64,
    tags: u64,
}

impl Numbers {
    pub(crate) fn below(tags: u64) -> Self {
        Self { state: 7, tags }
    }
}

impl Iterator for Numbers {
    type Item = u64;

    /// Knuth's 64-bit linear congruential generator; its high bits are the good ones.
    fn next(&mut self) -> Option<u64> {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((self.state >> 33) % self.tags)
    }
}
