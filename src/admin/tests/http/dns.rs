//! DNS as a test sets it, for proofs of domains.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What there is; everyone who has a copy sees the same.
#[derive(Clone, Debug, Default)]
pub struct Dns(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    txt: HashMap<String, Vec<String>>,
    addresses: HashMap<String, Vec<SocketAddr>>,
    down: bool,
}

impl Dns {
    /// Adds a TXT record.
    pub fn txt(&self, name: &str, text: &str) {
        let mut records = self.0.lock().unwrap();
        let texts = records.txt.entry(name.to_owned()).or_default();
        texts.push(text.to_owned());
    }

    /// Does what a challenge asks for.
    pub fn publish(&self, challenge: &Value) {
        let text = |field: &str| challenge[field].as_str().unwrap();
        self.txt(text("txt_record"), text("token"));
    }

    /// Where a host is connected to, at whatever port.
    pub fn host(&self, name: &str, addresses: &[SocketAddr]) {
        let mut records = self.0.lock().unwrap();
        records
            .addresses
            .insert(name.to_owned(), addresses.to_vec());
    }

    /// It answers nothing any more.
    pub fn go_down(&self) {
        self.0.lock().unwrap().down = true;
    }

    fn look_up<T>(&self, find: impl FnOnce(&Records) -> T) -> io::Result<T> {
        let records = self.0.lock().unwrap();
        if records.down {
            return Err(io::Error::other("no server answers"));
        }
        Ok(find(&records))
    }
}

#[async_trait::async_trait]
impl admin::Resolver for Dns {
    async fn txt(&self, name: &str) -> io::Result<Vec<String>> {
        self.look_up(|records| records.txt.get(name).cloned().unwrap_or_default())
    }

    async fn addresses(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.look_up(|records| records.addresses.get(host).cloned())?;
        found.ok_or_else(|| io::Error::other("there is no such host"))
    }
}
