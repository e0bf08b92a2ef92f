//! Writes the smallest files of the MaxMind DB format 2.0, for layouts of which no free file exists, and for forged ones.

/// A value of the format; those that such records and the metadata need.
pub(crate) enum Value {
    Text(&'static str),
    /// Of 16, 32 or 64 bits; readers want the width that the format names.
    Number(u8, u8),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
}

use Value::{List, Map, Number, Text};

/// An IPv4 database: `low` is where 0.0.0.0/1 is, `high` where 128.0.0.0/1 is.
pub(crate) fn database(database_type: &'static str, low: Value, high: Value) -> Vec<u8> {
    let mut data = encode(&low);
    let second = data.len() as u8;
    data.extend(encode(&high));
    file(database_type, &[[data_at(1, 0), data_at(1, second)]], &data)
}

/// A forged database of few bytes and 2^32 networks: both records of each node lead to the same next node.
pub(crate) fn endless(record: Value) -> Vec<u8> {
    let mut nodes: Vec<[u8; 2]> = (1..32).map(|next| [next; 2]).collect();
    nodes.push([data_at(32, 0); 2]);
    file("Endless", &nodes, &encode(&record))
}

/// A record above the node count points into the data, which lies behind a separator of 16 bytes.
fn data_at(node_count: u8, offset: u8) -> u8 {
    node_count + 16 + offset
}

/// Small numbers suffice for the records, which are written as 24 bits.
fn file(database_type: &'static str, nodes: &[[u8; 2]], data: &[u8]) -> Vec<u8> {
    let mut file: Vec<u8> = nodes
        .as_flattened()
        .iter()
        .flat_map(|&record| [0, 0, record])
        .collect();
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(encode(&Map(vec![
        ("binary_format_major_version", Number(16, 2)),
        ("binary_format_minor_version", Number(16, 0)),
        ("build_epoch", Number(64, 1)),
        ("database_type", Text(database_type)),
        ("description", Map(vec![])),
        ("ip_version", Number(16, 4)),
        ("languages", List(vec![])),
        ("node_count", Number(32, nodes.len() as u8)),
        ("record_size", Number(16, 24)),
    ])));
    file
}

fn encode(value: &Value) -> Vec<u8> {
    match value {
        Text(text) => [control(2, text.len()), text.as_bytes().to_vec()].concat(),
        Number(16, number) => [control(5, 1), vec![*number]].concat(),
        Number(32, number) => [control(6, 1), vec![*number]].concat(),
        // Types above 7 are written after a control byte of type 0.
        Number(_, number) => vec![1, 9 - 7, *number],
        List(values) => [
            vec![values.len() as u8, 11 - 7],
            values.iter().flat_map(encode).collect(),
        ]
        .concat(),
        Map(entries) => {
            let body = entries
                .iter()
                .flat_map(|(key, value)| [encode(&Text(key)), encode(value)].concat());
            [control(7, entries.len()), body.collect()].concat()
        }
    }
}

fn control(kind: u8, size: usize) -> Vec<u8> {
    if size < 29 {
        vec![kind << 5 | size as u8]
    } else {
        vec![kind << 5 | 29, (size - 29) as u8]
    }
}
