//! What a person reads when standalone has started, on standard output.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use admin::PublicUrl;

use super::public_url::from_here;

#[derive(Clone)]
pub(crate) struct Welcome {
    pub(crate) public_url: PublicUrl,
    pub(crate) api: SocketAddr,
    pub(crate) operations: SocketAddr,
    /// Names the file; the key itself is never shown.
    pub(crate) key_file: PathBuf,
    /// Whether this process made the key.
    pub(crate) first_start: bool,
}

impl Welcome {
    /// Nobody may be reading, which is not an error.
    pub(crate) fn print(&self) {
        let _ = self.write(&mut io::stdout().lock());
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (api, key_file) = (from_here(self.api), self.key_file.display());
        let short_urls = self.public_url.short_url(self.public_url.domain(), "CODE");
        writeln!(out, "Tagwire is running.")?;
        writeln!(out, "  Short URLs  {short_urls}")?;
        writeln!(out, "  Admin API   http://{api}/api/v1/openapi.json")?;
        writeln!(
            out,
            "  Metrics     http://{}/metrics",
            from_here(self.operations)
        )?;
        if self.first_start {
            writeln!(
                out,
                "\nWhat to do next: make a tag. The key is in {key_file}; keep it safe."
            )?;
            writeln!(
                out,
                "  curl -sS http://{api}/api/v1/tags -H \"Authorization: Bearer $(cat \"{key_file}\")\" \\"
            )?;
            writeln!(
                out,
                "    -H 'Content-Type: application/json' -d '{{\"destination\": \"https://example.com/\"}}'"
            )?;
            writeln!(
                out,
                "The answer names its short URL and its QR code. Open the short URL, then see it counted:"
            )?;
            writeln!(
                out,
                "  curl -sS http://{api}/api/v1/analytics/scans -H \"Authorization: Bearer $(cat \"{key_file}\")\""
            )?;
        }
        out.flush()
    }
}
