//! The blocklists that a program goes by, from files that are followed.

use std::fs::File;
use std::io::BufReader;
use std::ops::Deref;
use std::path::Path;

use stamp::{List, Lists};

use crate::lines::ReadError;
use crate::{BlocklistError, Hosts};

/// Lists that have been read and can be taken over.
pub type Prepared = stamp::Prepared<Hosts>;

/// What became of a list that has changed.
pub type Reload = stamp::Reload<BlocklistError>;

/// All lists together; without files, no host is on one.
#[derive(Debug, Default)]
pub struct Blocklists(Lists<Hosts>);

/// Where a host is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name of the list.
    pub list: String,
    /// What the list has: the host, or a domain above it.
    pub entry: String,
}

impl Blocklists {
    /// Whether a host, as a destination has it, is on one of the lists.
    pub fn find(&self, host: &str) -> Option<Listed> {
        self.0.find(|list, hosts| {
            let entry = hosts.entry_for(host)?.to_owned();
            let list = list.to_owned();
            Some(Listed { list, entry })
        })
    }
}

/// Its files, to follow them.
impl Deref for Blocklists {
    type Target = Lists<Hosts>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl List for Hosts {
    type Error = BlocklistError;

    fn from_file(path: &Path) -> Result<Self, BlocklistError> {
        let unreadable = |source| BlocklistError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let hosts = Hosts::read(BufReader::with_capacity(1 << 16, file));
        hosts.map_err(|error| {
            let path = path.to_owned();
            match error {
                ReadError::Io(source) => BlocklistError::Unreadable { path, source },
                ReadError::Empty => BlocklistError::Empty { path },
                ReadError::TooLong => BlocklistError::TooLong { path },
                ReadError::NotAList {
                    unknown,
                    known,
                    line,
                } => BlocklistError::NotAList {
                    path,
                    unknown,
                    known,
                    line,
                },
            }
        })
    }

    fn size(&self) -> usize {
        self.len()
    }

    fn same_name(name: String) -> BlocklistError {
        BlocklistError::SameName { name }
    }
}
