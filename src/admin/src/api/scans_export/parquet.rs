//! Scans as an Apache Parquet file, which is made as they come: columns are encoded and compressed while a row group fills, and it is handed
//! out when it is full. The footer comes last, so that a file that was broken off is none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use analytics::ExportedScan;
use axum::body::Bytes;
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnWriter, get_column_writer, get_typed_column_writer_mut};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::Result;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnPath, Type};

use super::columns::{COLUMNS, Cells, Column};

/// Scans of a row group, of which readers may read several at once; the last has fewer.
const ROW_GROUP: usize = 100_000;
/// How much a cell says of itself (`Optional`), where it is there.
const KNOWN: i16 = 1;

/// A file that is being made.
pub(super) struct ParquetFile {
    file: SerializedFileWriter<Vec<u8>>,
    group: RowGroup,
}

/// The row group that is filling.
#[derive(Default)]
struct RowGroup {
    scans: usize,
    /// In the order of [`COLUMNS`]; none while there are no scans.
    columns: Vec<(ColumnWriter<'static>, Pages)>,
}

/// A column's pages, encoded and compressed.
#[derive(Clone)]
struct Pages(Arc<Mutex<TrackedWrite<Vec<u8>>>>);

impl ParquetFile {
    pub(super) fn new() -> Result<Self> {
        let properties = Arc::new(properties());
        Ok(Self {
            file: SerializedFileWriter::new(Vec::new(), Arc::new(schema()?), properties)?,
            group: RowGroup::default(),
        })
    }

    /// Adds scans. What of the file can be sent by now.
    pub(super) fn add(&mut self, scans: &[ExportedScan]) -> Result<Vec<u8>> {
        let mut rest = scans;
        while !rest.is_empty() {
            let (of_group, others) = rest.split_at(rest.len().min(ROW_GROUP - self.group.scans));
            self.group.add(of_group, &self.file)?;
            if self.group.scans == ROW_GROUP {
                self.end_group()?;
            }
            rest = others;
        }
        self.ready()
    }

    /// There are no more: the rest of the file.
    pub(super) fn end(mut self) -> Result<Vec<u8>> {
        if self.group.scans > 0 {
            self.end_group()?;
        }
        self.file.finish()?;
        self.ready()
    }

    fn end_group(&mut self) -> Result<()> {
        let columns = std::mem::take(&mut self.group).columns;
        let mut group = self.file.next_row_group()?;
        for (writer, pages) in columns {
            let closed = writer.close()?;
            group.append_column(&pages.take(), closed)?;
        }
        group.close()?;
        Ok(())
    }

    fn ready(&mut self) -> Result<Vec<u8>> {
        self.file.flush()?;
        Ok(std::mem::take(self.file.inner_mut()))
    }
}

impl RowGroup {
    fn add(&mut self, scans: &[ExportedScan], file: &SerializedFileWriter<Vec<u8>>) -> Result<()> {
        if self.columns.is_empty() {
            let columns = file.schema_descr().columns().iter();
            let columns = columns.map(|column| {
                let pages = Pages::new();
                let properties = Arc::clone(file.properties());
                let sink = Box::new(pages.clone());
                (
                    get_column_writer(Arc::clone(column), properties, sink),
                    pages,
                )
            });
            self.columns = columns.collect();
        }
        for (column, (writer, _)) in COLUMNS.iter().zip(&mut self.columns) {
            write(writer, &column.cells, scans)?;
        }
        self.scans += scans.len();
        Ok(())
    }
}

fn write(writer: &mut ColumnWriter<'static>, cells: &Cells, scans: &[ExportedScan]) -> Result<()> {
    let scans = scans.iter();
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    match cells {
        Cells::Time(time) => {
            let times = scans.map(|scan| time(scan).as_microsecond());
            required::<Int64Type>(writer, times.collect())
        }
        Cells::Text(cell) => {
            required::<ByteArrayType>(writer, scans.map(|scan| text(cell(scan))).collect())
        }
        Cells::TextIfKnown(cell) => {
            let known = |text: &&str| !text.is_empty();
            let cells = scans.map(|scan| Some(cell(scan)).filter(known));
            optional::<ByteArrayType>(writer, cells.map(|cell| cell.map(text)).collect())
        }
        // Numbers of versions count up from one.
        Cells::Integer(number) => required::<Int64Type>(
            writer,
            scans.map(|scan| number(scan).cast_signed()).collect(),
        ),
        Cells::IntegerIfKnown(number) => {
            let cells = scans.map(|scan| number(scan).map(i64::from));
            optional::<Int64Type>(writer, cells.collect())
        }
        Cells::Boolean(holds) => required::<BoolType>(writer, scans.map(holds).collect()),
    }
}

fn required<T: DataType>(writer: &mut ColumnWriter<'static>, cells: Vec<T::T>) -> Result<()> {
    get_typed_column_writer_mut::<T>(writer).write_batch(&cells, None, None)?;
    Ok(())
}

fn optional<T: DataType>(
    writer: &mut ColumnWriter<'static>,
    cells: Vec<Option<T::T>>,
) -> Result<()> {
    let levels = cells
        .iter()
        .map(|cell| if cell.is_some() { KNOWN } else { 0 });
    let levels: Vec<i16> = levels.collect();
    let cells: Vec<T::T> = cells.into_iter().flatten().collect();
    let writer = get_typed_column_writer_mut::<T>(writer);
    writer.write_batch(&cells, Some(&levels), None)?;
    Ok(())
}

impl Pages {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(TrackedWrite::new(Vec::new()))))
    }

    /// The column's chunk, whose writer is closed.
    fn take(self) -> Bytes {
        std::mem::take(self.lock().inner_mut()).into()
    }

    /// A writer that has panicked is not asked again.
    fn lock(&self) -> MutexGuard<'_, TrackedWrite<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        SerializedPageWriter::new(&mut self.lock()).write_page(page)
    }

    fn close(&mut self) -> Result<()> {
        SerializedPageWriter::new(&mut self.lock()).close()
    }
}

/// One flat message, of a field a column.
fn schema() -> Result<Type> {
    let fields = COLUMNS.iter().map(|column| field(column).map(Arc::new));
    let fields: Result<Vec<_>> = fields.collect();
    Type::group_type_builder("scan")
        .with_fields(fields?)
        .build()
}

fn field(column: &Column) -> Result<Type> {
    let (physical, logical) = match column.cells {
        Cells::Time(_) => {
            let time = LogicalType::timestamp(true, TimeUnit::MICROS);
            (Physical::INT64, Some(time))
        }
        Cells::Text(_) | Cells::TextIfKnown(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Cells::Integer(_) | Cells::IntegerIfKnown(_) => (Physical::INT64, None),
        Cells::Boolean(_) => (Physical::BOOLEAN, None),
    };
    let repetition = match column.cells {
        Cells::TextIfKnown(_) | Cells::IntegerIfKnown(_) => Repetition::OPTIONAL,
        _ => Repetition::REQUIRED,
    };
    Type::primitive_type_builder(column.name, physical)
        .with_logical_type(logical)
        .with_repetition(repetition)
        .build()
}

/// How much of a column is in memory as it is, before it is compressed, and how much of its dictionary: of 18 columns, 9 MB at most.
const PAGE_BYTES: usize = 256 << 10;

/// Columns have dictionaries, for as long as these are small, but for times: hardly one of them comes twice, and each is a little more than
/// the last. What the footer says of a row group is all that stays in memory of it, so it has no index of pages.
fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]));
    for column in &COLUMNS {
        if matches!(column.cells, Cells::Time(_)) {
            let time = ColumnPath::from(column.name);
            properties = properties
                .set_column_dictionary_enabled(time.clone(), false)
                .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    fn scans(count: usize) -> Vec<ExportedScan> {
        let scan = |number: usize| ExportedScan {
            time: Timestamp::from_microsecond(number as i64).unwrap(),
            domain: "go.example.net".to_owned(),
            code: format!("c{}", number % 500),
            tag_version: 1,
            campaign: String::new(),
            outcome: "redirected".to_owned(),
            rule: String::new(),
            destination: number.is_multiple_of(2).then_some(0),
            country: "AT".to_owned(),
            region: String::new(),
            city: String::new(),
            device: String::new(),
            os: String::new(),
            browser: String::new(),
            language: String::new(),
            referrer: String::new(),
            automated: false,
            bot_reason: String::new(),
        };
        (0..count).map(scan).collect()
    }

    #[test]
    fn a_row_group_is_handed_out_when_it_is_full_and_the_footer_at_the_end() {
        let scans = scans(2 * ROW_GROUP + 1);
        let mut file = ParquetFile::new().unwrap();
        let mut bytes = file.add(&scans[..1]).unwrap();
        assert_eq!(bytes, b"PAR1");
        assert_eq!(file.add(&scans[1..ROW_GROUP - 1]).unwrap(), b"");
        // The end of one, another whole, and the beginning of the next.
        let groups = file.add(&scans[ROW_GROUP - 1..]).unwrap();
        assert_ne!(groups, b"");
        bytes.extend(groups);
        let rest = file.end().unwrap();
        assert!(rest.ends_with(b"PAR1"));
        bytes.extend(rest);

        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let groups = reader.metadata().row_groups();
        let rows: Vec<_> = groups.iter().map(|group| group.num_rows()).collect();
        let full = ROW_GROUP as i64;
        assert_eq!(rows, [full, full, 1]);
        for (column, of) in COLUMNS.iter().zip(groups[0].columns()) {
            assert_eq!(of.column_path().string(), column.name);
            let has_dictionary = of.dictionary_page_offset().is_some();
            let has_values = matches!(
                column.cells,
                Cells::Text(_)
                    | Cells::TextIfKnown(_)
                    | Cells::Integer(_)
                    | Cells::IntegerIfKnown(_)
            );
            assert_eq!(has_dictionary, has_values, "{}", column.name);
            assert!(matches!(of.compression(), Compression::ZSTD(_)));
        }
        // 8 bytes each, and all differ.
        assert!(groups[0].column(0).compressed_size() < full);
    }
}
