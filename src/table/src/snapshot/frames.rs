//! The file's frame: a magic number, the format, then frames, each with a checksum of everything up to its end. So a bit that has
//! changed, a frame that is missing and two that have changed places all show before what follows is read.
//!
//! ```text
//! 8 bytes   magic
//! u32       format
//! frames:
//!   u8      kind
//!   u32     length of the content
//!   ...     content
//!   u32     CRC-32C, continued over all of the file before it but the other checksums
//! ```

use std::io::{self, ErrorKind, Read, Write};

use super::SnapshotError;

/// The newest format that this build reads, and the one that it writes. It is raised for whatever an older build would misread: 2 has rules,
/// and what is scheduled; 3 what is counted.
pub(super) const FORMAT: u32 = 3;
/// The oldest that it reads: all that it had is as it was. What had not been counted yet, see `read`.
const OLDEST: u32 = 1;

const MAGIC: [u8; 8] = *b"tagwire\x1a";
/// Far more than any writer makes, and little enough to be read for nothing.
const MAX_CONTENT: u32 = 64 << 20;

/// What a frame holds, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The first: what the snapshot is of.
    Header = 1,
    /// Domains and workspaces.
    Settings = 2,
    /// Words that later records refer to by number.
    Names = 3,
    /// Records of tags.
    Tags = 4,
    /// The last, with the number of records.
    End = 5,
}

/// Writes frames.
pub(super) struct FrameWriter<W> {
    output: W,
    crc: u32,
}

impl<W: Write> FrameWriter<W> {
    /// Writes what comes before the frames.
    pub(super) fn new(mut output: W) -> io::Result<Self> {
        output.write_all(&MAGIC)?;
        output.write_all(&FORMAT.to_le_bytes())?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&MAGIC), &FORMAT.to_le_bytes());
        Ok(Self { output, crc })
    }

    pub(super) fn frame(&mut self, kind: Kind, content: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::new(ErrorKind::InvalidInput, "a frame is too long");
        let len = u32::try_from(content.len()).map_err(too_long)?;
        let mut head = [kind as u8; 5];
        head[1..].copy_from_slice(&len.to_le_bytes());
        self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, &head), content);
        self.output.write_all(&head)?;
        self.output.write_all(content)?;
        self.output.write_all(&self.crc.to_le_bytes())
    }

    pub(super) fn into_inner(self) -> W {
        self.output
    }
}

/// Reads frames.
pub(super) struct FrameReader<R> {
    input: R,
    format: u32,
    crc: u32,
    content: Vec<u8>,
}

impl<R: Read> FrameReader<R> {
    /// Reads what comes before the frames.
    pub(super) fn new(mut input: R) -> Result<Self, SnapshotError> {
        let mut magic = [0; MAGIC.len()];
        let read = read_up_to(&mut input, &mut magic)?;
        if magic[..read] != MAGIC[..read] || read == 0 {
            return Err(SnapshotError::NotASnapshot);
        }
        let mut format = [0; 4];
        input.read_exact(&mut format)?;
        let found = u32::from_le_bytes(format);
        if found > FORMAT {
            return Err(SnapshotError::NewerFormat { found });
        }
        if found < OLDEST {
            return Err(SnapshotError::damaged("format"));
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(&MAGIC), &format);
        let content = Vec::new();
        Ok(Self {
            input,
            format: found,
            crc,
            content,
        })
    }

    /// Whether the format is the one that this build writes.
    pub(super) fn is_newest(&self) -> bool {
        self.format == FORMAT
    }

    /// The next frame, whose checksum is right.
    pub(super) fn next(&mut self) -> Result<(Kind, &[u8]), SnapshotError> {
        let mut head = [0; 5];
        self.input.read_exact(&mut head)?;
        let [kind, len @ ..] = head;
        let len = u32::from_le_bytes(len);
        if len > MAX_CONTENT {
            return Err(SnapshotError::damaged("length of a frame"));
        }
        self.content.clear();
        // Grows with what is there, not with what is promised.
        let read = (&mut self.input)
            .take(len.into())
            .read_to_end(&mut self.content)?;
        if read < len as usize {
            return Err(SnapshotError::Truncated);
        }
        let mut crc = [0; 4];
        self.input.read_exact(&mut crc)?;
        self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, &head), &self.content);
        if u32::from_le_bytes(crc) != self.crc {
            return Err(SnapshotError::damaged("checksum"));
        }
        let kinds = [
            Kind::Header,
            Kind::Settings,
            Kind::Names,
            Kind::Tags,
            Kind::End,
        ];
        let known = kinds.into_iter().find(|known| *known as u8 == kind);
        Ok((
            known.ok_or(SnapshotError::damaged("kind of a frame"))?,
            &self.content,
        ))
    }

    /// Makes sure that nothing follows.
    pub(super) fn finish(mut self) -> Result<(), SnapshotError> {
        match read_up_to(&mut self.input, &mut [0])? {
            0 => Ok(()),
            _ => Err(SnapshotError::damaged("something follows its end")),
        }
    }
}

fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match input.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
