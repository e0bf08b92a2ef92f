//! A GeoIP database in memory, checked whole when it is opened. What a record says is read in `place`, taking a newer file in
//! `places_file`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader, WithinOptions};

use crate::Place;

/// Tells where addresses are. A look-up reads memory only, allocates nothing and takes less than a microsecond, so nothing is cached.
#[derive(Default)]
pub struct Places {
    database: Option<Reader<Vec<u8>>>,
}

/// Why a GeoIP database was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// The file cannot be read.
    #[error(
        "cannot read the GeoIP database {path}: {source}; check that the path names a file and that it may be read"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a sound MaxMind DB file.
    #[error(
        "the GeoIP database {path} is damaged, incomplete or no .mmdb file: {source}; download it again and replace it whole"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found in it.
        source: MaxMindDbError,
    },
    /// The file is sound, but tells no places.
    #[error(
        "the GeoIP database {path} is of type {database_type} and names no countries; use a country or city database"
    )]
    NoCountries {
        /// The file.
        path: PathBuf,
        /// The type that the file gives itself.
        database_type: String,
    },
}

impl PlacesError {
    /// Every [`PlacesError::reason`].
    pub const REASONS: [&str; 3] = ["damaged", "no_countries", "unreadable"];

    /// The error in a word, for a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "unreadable",
            Self::Damaged { .. } => "damaged",
            Self::NoCountries { .. } => "no_countries",
        }
    }
}

impl Places {
    /// Knows no place: every answer is empty.
    pub fn none() -> Places {
        Places::default()
    }

    /// Reads the file into memory and verifies all that look-ups read, so that none meets damage later. Takes about a second for
    /// a large city database.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is damaged, or tells no countries.
    pub fn open(path: impl AsRef<Path>) -> Result<Places, PlacesError> {
        let path = path.as_ref();
        let bytes = read_file(path).map_err(|source| PlacesError::Read {
            path: path.to_owned(),
            source,
        })?;
        let damaged = |source| PlacesError::Damaged {
            path: path.to_owned(),
            source,
        };
        let database = Reader::from_source(bytes).map_err(damaged)?;
        if !verify(&database).map_err(damaged)? {
            let database_type = database.metadata().database_type.clone();
            return Err(PlacesError::NoCountries {
                path: path.to_owned(),
                database_type,
            });
        }
        Ok(Places {
            database: Some(database),
        })
    }

    /// When the database was built, in seconds since 1970, as it says itself.
    pub fn built_at(&self) -> Option<u64> {
        Some(self.database.as_ref()?.metadata().build_epoch)
    }

    /// Where `address` is. The address of a network (with the host's bits cut off) gives that network's place, and an IPv4-mapped
    /// IPv6 address that of the IPv4 address. A file that holds one IP version alone knows nothing of the other.
    pub fn lookup(&self, address: IpAddr) -> Place<'_> {
        let record = self
            .database
            .as_ref()
            .and_then(|database| database.lookup(address.to_canonical()).ok());
        // No error is lost: all records were read when the file was opened.
        record
            .and_then(|record| Place::read(&record).ok())
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let database_type = self
            .database
            .as_ref()
            .map(|database| &database.metadata().database_type);
        formatter
            .debug_struct("Places")
            .field("database_type", &database_type)
            .finish()
    }
}

/// Reads a plain file; opening a pipe would wait for ever.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "it is not a plain file",
        ));
    }
    std::fs::read(path)
}

/// Walks the whole search tree and reads each record once; tells whether any names a country. The library's own `verify` is of no
/// use here: it refuses ip-location-db's files for their empty description.
fn verify(database: &Reader<Vec<u8>>) -> Result<bool, MaxMindDbError> {
    // Networks without data are walked too, or a forged tree that shares its nodes could be walked without end unseen. A sound
    // tree of n nodes has at most n + 1 leaves, and some room for those that the library adds for IPv4 within IPv6.
    let most_networks = database.metadata().node_count as usize + 1024;
    let mut read = HashSet::new();
    let mut names_countries = false;
    let networks = database.networks(WithinOptions::default().include_networks_without_data())?;
    for (count, network) in networks.enumerate() {
        let record = network?;
        if count > most_networks {
            return Err(MaxMindDbError::invalid_database(
                "the search tree has more networks than its nodes can hold",
            ));
        }
        if record.offset().is_some_and(|offset| read.insert(offset)) {
            names_countries |= Place::read(&record)?.country.is_some();
        }
    }
    Ok(names_countries)
}
