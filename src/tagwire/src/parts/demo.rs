//! The demo: a tag with the code `demo`, made through the admin API like any other, and its QR code in the terminal.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use admin::PublicUrl;
use qr::{ErrorCorrection, Symbol};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

use super::public_url::{from_here, own_address};

const TAG: &str = r#"{"code": "demo", "name": "Demo", "destination": "https://example.com/"}"#;

#[derive(Clone)]
pub(crate) struct Demo {
    api: SocketAddr,
    key_file: PathBuf,
    short_url: String,
    /// The port that a phone could reach, if the redirects listened on more than loopback.
    only_here: Option<u16>,
}

impl Demo {
    pub(crate) fn new(
        api: SocketAddr,
        key_file: &Path,
        public_url: &PublicUrl,
        redirects: &[SocketAddr],
    ) -> Self {
        let only_here = redirects.iter().all(|address| address.ip().is_loopback());
        Self {
            api: from_here(api),
            key_file: key_file.to_owned(),
            short_url: public_url.short_url(public_url.domain(), "demo"),
            only_here: redirects
                .first()
                .filter(|_| only_here)
                .map(SocketAddr::port),
        }
    }

    /// Makes the tag where it is missing, and prints its QR code.
    pub(crate) async fn show(&self) {
        if let Err(error) = self.make_tag().await {
            tracing::error!(%error, "the demo tag was not made");
            return;
        }
        // Nobody may be reading, which is not an error.
        let _ = self.write(&mut io::stdout().lock());
    }

    async fn make_tag(&self) -> anyhow::Result<()> {
        let key = std::fs::read_to_string(&self.key_file);
        let key = key.map_err(|error| {
            anyhow::anyhow!("reading the key in {}: {error}", self.key_file.display())
        })?;
        // A proxy of the environment would be told the key, and cannot reach this machine's loopback.
        let client = reqwest::Client::builder().no_proxy().build()?;
        let request = client.post(format!("http://{}/api/v1/tags", self.api));
        let request = request
            .bearer_auth(key.trim())
            .header(CONTENT_TYPE, "application/json")
            .body(TAG);
        let answer = request.send().await?;
        match answer.status() {
            // The second: the code is taken, by the demo tag of an earlier start.
            StatusCode::CREATED | StatusCode::CONFLICT => Ok(()),
            status => anyhow::bail!("the admin API answered {status}: {}", answer.text().await?),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let short_url = &self.short_url;
        writeln!(out, "\nThe demo tag: {short_url}")?;
        match Symbol::encode(short_url, ErrorCorrection::M) {
            Ok(symbol) => write!(out, "{}", symbol.terminal())?,
            Err(error) => writeln!(out, "It has no QR code: {error}")?,
        }
        if let Some(port) = self.only_here {
            let own = SocketAddr::new(own_address(), port);
            writeln!(
                out,
                "Only this machine reaches that address. For a phone in the same network, start with"
            )?;
            writeln!(
                out,
                "  tagwire standalone --demo --listen 0.0.0.0:{port} --public-url http://{own}"
            )?;
        }
        out.flush()
    }
}
