//! Many things at once, from a file and into one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Failure;

/// How they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A JSON object a line
    Ndjson,
    /// A line each, the first with the columns' names
    Csv,
}

impl Format {
    /// As HTTP names it.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    /// What a file's name says, if it does.
    pub(super) fn of(file: &Path) -> Option<Self> {
        let extension = file.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// Where an export goes.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The file to write, which appears when it is whole; without it, standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Target {
    /// The format that the file's name says.
    pub(super) fn format(&self) -> Option<Format> {
        self.output.as_deref().and_then(Format::of)
    }

    /// Writes all that comes.
    pub(super) fn write(&self, mut exported: impl Read) -> Result<(), Failure> {
        let Some(path) = &self.output else {
            let mut out = io::stdout().lock();
            io::copy(&mut exported, &mut out)?;
            return Ok(out.flush()?);
        };
        let failed =
            |error: io::Error| Failure::new(format!("writing {}: {error}", path.display()));
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let written = File::create(&part).and_then(|mut file| {
            io::copy(&mut exported, &mut file)?;
            file.sync_all()
        });
        match written.and_then(|()| std::fs::rename(&part, path)) {
            Ok(()) => Ok(()),
            Err(error) => {
                let _ = std::fs::remove_file(&part); // a part is of no use, and the error is told
                Err(failed(error))
            }
        }
    }
}
