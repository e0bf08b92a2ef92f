use std::io::Cursor;

use super::*;

const NAMES: [&str; 4] = ["code", "destination", "name", "labels"];

fn file(content: &[u8]) -> Box<dyn Input> {
    Box::new(Cursor::new(content.to_vec()))
}

fn open(content: &[u8], format: Format, place: Place) -> Source {
    let source = Source::open(file(content), format, place, &NAMES, &["version"]);
    source
        .unwrap()
        .map_err(|errors| format!("{errors:?}"))
        .unwrap()
}

/// Each line's number, and its field `name` or its error.
fn lines(source: &mut Source) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    while let Some(line) = source.next().unwrap() {
        let said = match line.content {
            Ok(mut fields) => fields.text("name").value().unwrap_or_default(),
            Err(error) => format!("{}: {}", error.pointer, error.detail),
        };
        lines.push((line.number, said));
    }
    lines
}

fn said(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
    lines
        .iter()
        .map(|(number, text)| (*number, (*text).to_owned()))
        .collect()
}

#[test]
fn lines_of_json_have_the_files_numbers_whatever_ends_them() {
    let text = b"\xef\xbb\xbf{\"name\": \"a\"}\r\n\n  \r\n{\"name\": \"b\"}\n[1]\n{\n\"x\"}\n{\"name\": \"\xff\"}\n{\"name\": \"c\"}";
    let mut source = open(text, Format::Ndjson, Place::default());
    let lines = lines(&mut source);
    assert_eq!(
        lines[..3],
        said(&[(1, "a"), (4, "b"), (5, ": must be a JSON object")])
    );
    let (numbers, texts): (Vec<u64>, Vec<&str>) = lines[3..]
        .iter()
        .map(|(number, text)| (*number, text.as_str()))
        .unzip();
    assert_eq!(numbers, [6, 7, 8, 9]);
    assert!(
        texts[..3]
            .iter()
            .all(|text| text.starts_with(": is not valid JSON")),
        "{texts:?}"
    );
    assert_eq!(texts[3], "c");
    assert_eq!(source.place().offset, text.len() as u64);
}

#[test]
fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
    let long = "x".repeat(MOST_LINE_BYTES + 1);
    let fits = format!("{{\"name\": \"{}\"}}", "y".repeat(MOST_LINE_BYTES - 12));
    assert_eq!(fits.len(), MOST_LINE_BYTES);
    let text = format!("{long}\n{fits}\n{{\"name\": \"z\"}}\n{long}");
    let lines = lines(&mut open(text.as_bytes(), Format::Ndjson, Place::default()));
    let numbers: Vec<_> = lines.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(lines[0].1.contains("too long") && lines[3].1.contains("too long"));
    assert_eq!(
        (lines[1].1.len(), lines[2].1.as_str()),
        (MOST_LINE_BYTES - 12, "z")
    );
}

#[test]
fn records_of_csv_have_the_number_of_their_first_line() {
    let text = "\u{feff}code,name\r\n\r\na,one\r\nb,\"two \"\"and\"\"\nthree\"\r\n\n,\r\nc,'=four\nd\ne,five,5\nf,\"six";
    let lines = lines(&mut open(text.as_bytes(), Format::Csv, Place::default()));
    let expected = said(&[
        (3, "one"),
        (4, "two \"and\"\nthree"),
        (8, "=four"),
        (9, ": has 1 cells, the header 2"),
        (10, ": has 3 cells, the header 2"),
        (11, "six"),
    ]);
    assert_eq!(lines, expected);
}

#[test]
fn a_cell_that_is_not_utf_8_is_named() {
    let lines = lines(&mut open(
        b"code,name\na,\xe9t\xe9\nb,x\n",
        Format::Csv,
        Place::default(),
    ));
    assert_eq!(
        lines[0].1,
        "/name: is not UTF-8; save the file as CSV in UTF-8"
    );
    assert_eq!(lines[1], (3, "x".to_owned()));
}

#[test]
fn an_open_quote_and_a_hundred_thousand_cells_cost_one_line() {
    let cells = ",".repeat(100_000);
    let quoted = format!("\"{}\"", "q\n".repeat(MOST_LINE_BYTES));
    let text = format!(
        "code,name\na,x\n{cells}\nb,y\n{quoted},z\nc,w\nd,\"{}",
        "open\n".repeat(100_000)
    );
    let lines = lines(&mut open(text.as_bytes(), Format::Csv, Place::default()));
    let behind_quoted = 5 + MOST_LINE_BYTES as u64 + 1;
    let numbers: Vec<_> = lines.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [2, 3, 4, 5, behind_quoted, behind_quoted + 1]);
    assert_eq!(lines[1].1, ": has more than 256 cells");
    assert!(lines[3].1.contains("too long"), "{}", lines[3].1);
    assert_eq!(lines[4].1, "w");
    assert!(lines[5].1.contains("too long"));
}

#[test]
fn a_header_that_names_no_columns_of_ours_is_refused() {
    for (text, pointers) in [
        ("", vec![""]),
        ("\u{feff}", vec![""]),
        ("\n\n", vec![""]),
        ("code;destination\na;b\n", vec!["/code;destination"]),
        ("code,version,code\n", vec!["/version", "/code"]),
        ("a,b~c/d\n", vec!["/a", "/b~0c~1d"]),
        ("code,\u{0}\n", vec!["/\u{0}"]),
    ] {
        let refused = Source::open(
            file(text.as_bytes()),
            Format::Csv,
            Place::default(),
            &NAMES,
            &["version"],
        );
        let Err(errors) = refused.unwrap() else {
            panic!("{text}")
        };
        let named: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(named, pointers, "{text:?}");
    }
    let wide = ",".repeat(100_000);
    let refused = Source::open(
        file(wide.as_bytes()),
        Format::Csv,
        Place::default(),
        &NAMES,
        &[],
    );
    assert!(refused.unwrap().is_err());
}

#[test]
fn reading_goes_on_at_any_place_that_was_reached() {
    let json: String = (0..50)
        .map(|number| format!("{{\"name\": \"{number}\"}}\r\n\n"))
        .collect();
    let csv: String = (0..50)
        .map(|number| format!("c{number},\"{number}\nx\"\r\n\n"))
        .collect();
    let csv = format!("\u{feff}code,name\r\n{csv}");
    for (text, format) in [(json, Format::Ndjson), (csv, Format::Csv)] {
        let all = lines(&mut open(text.as_bytes(), format, Place::default()));
        assert_eq!(all.len(), 50);
        let mut source = open(text.as_bytes(), format, Place::default());
        for number in 1..=50 {
            source.next().unwrap().unwrap();
            let mut again = open(text.as_bytes(), format, source.place());
            assert_eq!(lines(&mut again), all[number..]);
        }
    }
}
