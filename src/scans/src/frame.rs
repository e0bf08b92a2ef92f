//! How one record lies in a segment, and how a reader finds records again behind damaged bytes.
//!
//! `len: u32, crc32c: u32, seq: u64, payload: len bytes`, filled up to a multiple of 8; little-endian. The checksum covers boot, writer, seq
//! and payload, so that neither leftovers of another run nor bytes sent by a stranger read as a record.

use crate::limits;

/// Bytes before the payload.
pub(crate) const HEAD: usize = 16;
/// The most that a record takes, head and filling included.
pub(crate) const MAX: usize = HEAD + limits::RECORD;

/// The part of every checksum that a segment's records share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn new(boot: u64, writer: u32) -> Self {
        let mut identity = [0; 12];
        identity[..8].copy_from_slice(&boot.to_le_bytes());
        identity[8..].copy_from_slice(&writer.to_le_bytes());
        Self(crc32c::crc32c(&identity))
    }
}

/// What a reader finds next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A record; the next begins at `end`.
    Record {
        seq: u64,
        payload: &'a [u8],
        end: usize,
    },
    /// Bytes that are no record, up to `end`, where either one begins or nothing follows.
    Damage { end: usize },
    /// Nothing more.
    End,
}

/// Writes head and payload to the beginning of `room`, which holds at least [`MAX`] bytes; `encode` says how many it used. Returns how many it took.
pub(crate) fn write(
    room: &mut [u8],
    seed: Seed,
    seq: u64,
    encode: impl FnOnce(&mut [u8]) -> usize,
) -> usize {
    let len = encode(&mut room[HEAD..MAX]);
    room[8..HEAD].copy_from_slice(&seq.to_le_bytes());
    let checksum = crc32c::crc32c_append(seed.0, &room[8..HEAD + len]);
    room[..4].copy_from_slice(&(len as u32).to_le_bytes());
    room[4..8].copy_from_slice(&checksum.to_le_bytes());
    (HEAD + len).next_multiple_of(8)
}

/// Reads at `at`, a multiple of 8. Records numbered below `next_seq` have been read before, and are not believed.
pub(crate) fn read(bytes: &[u8], at: usize, seed: Seed, next_seq: u64) -> Found<'_> {
    if at >= bytes.len() {
        return Found::End;
    }
    if let Some((seq, payload)) = record(bytes, at, seed, next_seq) {
        return Found::Record {
            seq,
            payload,
            end: (at + HEAD + payload.len()).next_multiple_of(8),
        };
    }
    let resumes = (at + 8..bytes.len())
        .step_by(8)
        .find(|at| record(bytes, *at, seed, next_seq).is_some());
    Found::Damage {
        end: resumes.unwrap_or(bytes.len()),
    }
}

fn record(bytes: &[u8], at: usize, seed: Seed, next_seq: u64) -> Option<(u64, &[u8])> {
    let head = bytes.get(at..at + HEAD)?;
    let len = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let checksum = u32::from_le_bytes(head[4..8].try_into().ok()?);
    let seq = u64::from_le_bytes(head[8..].try_into().ok()?);
    // Behind the last number that there is, there would be no next one.
    if len == 0 || len > limits::RECORD || seq < next_seq || seq == u64::MAX {
        return None;
    }
    let covered = bytes.get(at + 8..at + HEAD + len)?;
    (crc32c::crc32c_append(seed.0, covered) == checksum).then(|| (seq, &covered[8..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEED: (u64, u32) = (0x1234_5678_9abc_def0, 3);

    fn log(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (seq, payload) in (0..).zip(payloads) {
            let mut room = vec![0xee; MAX]; // leftovers
            let len = write(&mut room, Seed::new(SEED.0, SEED.1), seq, |to| {
                to[..payload.len()].copy_from_slice(payload);
                payload.len()
            });
            bytes.extend_from_slice(&room[..len]);
        }
        bytes
    }

    fn read_all(bytes: &[u8], seed: Seed) -> (Vec<(u64, Vec<u8>)>, usize) {
        let (mut records, mut damages, mut at, mut next_seq) = (Vec::new(), 0, 0, 0);
        loop {
            match read(bytes, at, seed, next_seq) {
                Found::Record { seq, payload, end } => {
                    records.push((seq, payload.to_vec()));
                    (at, next_seq) = (end, seq + 1);
                }
                Found::Damage { end } => {
                    damages += 1;
                    at = end;
                }
                Found::End => return (records, damages),
            }
        }
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 1..20)
    }

    #[test]
    fn a_bit_flip_in_the_middle_costs_one_record() {
        let payloads = vec![vec![1; 100], vec![2; 77], vec![3; 50]];
        let mut bytes = log(&payloads);
        bytes[116 + 4 + 30] ^= 0x10;
        let (records, damages) = read_all(&bytes, Seed::new(SEED.0, SEED.1));
        assert_eq!(
            records,
            [(0, payloads[0].clone()), (2, payloads[2].clone())]
        );
        assert_eq!(damages, 1);
    }

    #[test]
    fn another_boots_records_are_not_read() {
        let bytes = log(&[vec![1; 100]]);
        for (boot, writer) in [(SEED.0 + 1, SEED.1), (SEED.0, SEED.1 + 1)] {
            assert_eq!(read_all(&bytes, Seed::new(boot, writer)).0, []);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(payloads in payloads()) {
            let (records, damages) = read_all(&log(&payloads), Seed::new(SEED.0, SEED.1));
            prop_assert_eq!(damages, 0);
            prop_assert_eq!(records, (0..).zip(payloads).collect::<Vec<_>>());
        }

        #[test]
        fn whatever_happens_to_the_bytes_no_wrong_record_is_read(
            payloads in payloads(),
            damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = log(&payloads);
            for (index, value) in damage {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(cut.index(bytes.len() + 1) & !7);
            let (records, _) = read_all(&bytes, Seed::new(SEED.0, SEED.1));
            for (seq, payload) in &records {
                prop_assert_eq!(payload, &payloads[*seq as usize]);
            }
            prop_assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0), "each at most once, in order");
        }

        #[test]
        fn one_damaged_record_leaves_all_others_exact(payloads in payloads(), victim in any::<proptest::sample::Index>(), bit in 0u8..8, offset in any::<proptest::sample::Index>()) {
            let mut bytes = log(&payloads);
            let victim = victim.index(payloads.len());
            let start: usize = payloads[..victim].iter().map(|p| (HEAD + p.len()).next_multiple_of(8)).sum();
            bytes[start + offset.index(HEAD + payloads[victim].len())] ^= 1 << bit;
            let (records, damages) = read_all(&bytes, Seed::new(SEED.0, SEED.1));
            let others: Vec<_> = (0..).zip(payloads).filter(|(seq, _)| *seq != victim as u64).collect();
            prop_assert_eq!(records, others);
            prop_assert_eq!(damages, 1);
        }
    }
}
