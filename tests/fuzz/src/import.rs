//! Files of tags: their lines have rising numbers, and reading that goes on where any line has ended reads what is left as if it had never
//! been interrupted. The first byte says which format it is, and where that is tried.

pub(crate) fn run(bytes: &[u8]) {
    let Some((&first, file)) = bytes.split_first() else {
        return;
    };
    let (is_csv, cut) = (first & 1 == 1, usize::from(first >> 1));
    let Some(lines) = admin::fuzzing::read_import(file, is_csv, (0, 0)) else {
        return;
    };
    let length = file.len() as u64;
    let mut before = (0, 0);
    for line in &lines {
        assert!(line.number > before.1, "{line:?}");
        assert!(line.end.0 > before.0 && line.end.0 <= length, "{line:?}");
        before = line.end;
    }
    if let Some(line) = lines.get(cut % lines.len().max(1)) {
        let rest = admin::fuzzing::read_import(file, is_csv, line.end).expect("the same header");
        assert_eq!(rest, lines[cut % lines.len() + 1..]);
    }
}
