//! Reads a snapshot, piece by piece, into a base that is handed over only when all of it has been found right.

use std::io::Read;

use prost::Message;

use crate::arena::Full;
use crate::names::Names;
use crate::record::Record;
use crate::settings::Settings;
use crate::shared::{Filling, TagName};

use super::frames::{FrameReader, Kind};
use super::header::{Header, SettingsRecord, for_each_repeated};
use super::{SnapshotError, SnapshotInfo};

/// Room for so many tags is made on a header's word, and costs 25 MiB. A header may lie, and a file may be as long as no disk is.
const ROOM: u64 = 4 << 20;
/// The positions of some ten thousand partitions. Each costs more in memory than in the file.
const MAX_HEADER: usize = 1 << 20;
/// Records that are put into the base together: their bytes and places stay in the processor's nearest cache.
const TOGETHER: usize = 32;

/// Reads what the snapshot is of.
pub(super) fn info(input: impl Read) -> Result<SnapshotInfo, SnapshotError> {
    let mut frames = FrameReader::new(input)?;
    let header = header(&mut frames)?;
    header.info(frames.is_newest())
}

/// Reads all of a snapshot of so many bytes. `empty` makes what it is read into, with room for so many tags.
pub(super) fn whole(
    input: impl Read,
    bytes: u64,
    empty: impl FnOnce(usize) -> Filling,
) -> Result<(SnapshotInfo, Filling), SnapshotError> {
    let mut frames = FrameReader::new(input)?;
    let header = header(&mut frames)?;
    // No file has more tags than bytes for them.
    let promised = header.tags.min(bytes / Record::MIN_BYTES as u64);
    let info = header.info(frames.is_newest())?;
    let mut filling = empty(promised.min(ROOM) as usize);
    filling.base.promise(promised as usize); // lossless: this table is for machines of 64 bits
    let mut names = Names::default();
    let mut count = 0;
    loop {
        match frames.next()? {
            (Kind::Settings, content) => settings(content, &mut filling.settings)?,
            (Kind::Names, content) => more_names(content, &mut names)?,
            (Kind::Tags, content) => count += tags(content, &names, &mut filling)?,
            (Kind::End, content) if content == u64::to_le_bytes(count) => break,
            (Kind::End, _) => return Err(SnapshotError::damaged("number of tags")),
            (Kind::Header, _) => return Err(SnapshotError::damaged("a second header")),
        }
    }
    frames.finish()?;
    Ok((info, filling))
}

fn header(frames: &mut FrameReader<impl Read>) -> Result<Header, SnapshotError> {
    match frames.next()? {
        (Kind::Header, content) if content.len() > MAX_HEADER => {
            Err(SnapshotError::damaged("length of the header"))
        }
        (Kind::Header, content) => decoded(content, "header"),
        _ => Err(SnapshotError::damaged("no header")),
    }
}

fn settings(content: &[u8], settings: &mut Settings) -> Result<(), SnapshotError> {
    for_each_repeated(content, "settings", |record| {
        let record: SettingsRecord = decoded(record, "settings")?;
        settings.put(record.change()?);
        Ok(())
    })
}

fn more_names(content: &[u8], names: &mut Names) -> Result<(), SnapshotError> {
    for_each_repeated(content, "names", |name| {
        let name = str::from_utf8(name).map_err(|_| SnapshotError::damaged("names"))?;
        if names.len() == Names::MAX {
            return Err(SnapshotError::damaged("number of names"));
        }
        names.push(name);
        Ok(())
    })
}

fn tags(mut content: &[u8], names: &Names, filling: &mut Filling) -> Result<u64, SnapshotError> {
    let mut count = 0;
    let mut records = Vec::with_capacity(TOGETHER);
    while !content.is_empty() {
        let (mut record, len) =
            Record::read(content, names).ok_or(SnapshotError::damaged("record of a tag"))?;
        if !record.is_sound() {
            return Err(SnapshotError::damaged("field of a tag"));
        }
        // Up to format 2 nothing was counted.
        record.tag.is_counted |= record.tag.rules.ask_scan_number();
        let is_counted = record.is_counted();
        if is_counted {
            filling.counted.push(TagName::of(&record.tag));
        }
        filling.asks_agents |= is_counted || record.tag.rules.ask_agent();
        records.push(record);
        content = &content[len..];
        count += 1;
        if records.len() == TOGETHER || content.is_empty() {
            let put = filling.base.put_all(&records);
            put.map_err(|Full| SnapshotError::Full)?;
            records.clear();
        }
    }
    Ok(count)
}

fn decoded<M: Message + Default>(content: &[u8], what: &'static str) -> Result<M, SnapshotError> {
    M::decode(content).map_err(|_| SnapshotError::damaged(what))
}
