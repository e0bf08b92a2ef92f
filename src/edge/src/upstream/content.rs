//! Content: where it ends (RFC 9112 §6 and §7.1), read strictly, and passed on in one spelling. What lies behind it is the
//! next request, and nobody but the express lane reads that.

/// How a request's content is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFraming {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Why content is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentError {
    /// Longer than allowed.
    TooLarge,
    /// Not RFC 9112's grammar.
    Malformed,
}

/// The longest line before a chunk, its extensions included.
const CHUNK_LINE: usize = 256;
/// The longest trailer section.
const TRAILERS: usize = 8 * 1024;

/// Reads content as it comes in.
#[derive(Debug)]
pub(crate) struct ContentReader {
    state: State,
    /// How many bytes more it may have.
    allowed: u64,
    /// Whether chunks come out as chunks.
    chunks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are to come, and then it ends.
    Length(u64),
    ChunkLine,
    Chunk(u64),
    ChunkEnd,
    /// So many bytes of trailers have been.
    Trailers(usize),
    End,
}

impl ContentReader {
    /// For content that may have so many bytes at most.
    pub(crate) fn new(content: ContentFraming, allowed: u64) -> Result<Self, ContentError> {
        let state = match content {
            ContentFraming::None | ContentFraming::Length(0) => State::End,
            ContentFraming::Length(length) if length > allowed => {
                return Err(ContentError::TooLarge);
            }
            ContentFraming::Length(length) => State::Length(length),
            ContentFraming::Chunked => State::ChunkLine,
        };
        Ok(Self {
            state,
            allowed,
            chunks: true,
        })
    }

    /// For an answer's content, which comes out as data alone.
    pub(super) fn for_answer(content: ContentFraming) -> Result<Self, ContentError> {
        let reader = Self::new(content, u64::MAX)?;
        Ok(Self {
            chunks: false,
            ..reader
        })
    }

    /// Whether all of it has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Moves what belongs to the content from `input` to `output`. What it leaves is behind the content's end, or too little to tell.
    /// Chunks come out without extensions and trailers.
    pub(crate) fn read(
        &mut self,
        input: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<(), ContentError> {
        let mut read = 0;
        while let Some(len) = self.step(&input[read..], output)? {
            read += len;
        }
        input.drain(..read);
        Ok(())
    }

    /// Reads one piece, and says how long it was; none: there is nothing to read yet, or any more.
    fn step(&mut self, rest: &[u8], output: &mut Vec<u8>) -> Result<Option<usize>, ContentError> {
        if rest.is_empty() {
            return Ok(None);
        }
        match self.state {
            State::End => Ok(None),
            State::Length(left) => {
                let piece = up_to(rest, left);
                output.extend_from_slice(piece);
                let left = left - piece.len() as u64;
                self.state = if left == 0 {
                    State::End
                } else {
                    State::Length(left)
                };
                Ok(Some(piece.len()))
            }
            State::Chunk(left) => {
                let piece = up_to(rest, left);
                if self.chunks {
                    output.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                }
                output.extend_from_slice(piece);
                if self.chunks {
                    output.extend_from_slice(b"\r\n");
                }
                let left = left - piece.len() as u64;
                self.state = if left == 0 {
                    State::ChunkEnd
                } else {
                    State::Chunk(left)
                };
                Ok(Some(piece.len()))
            }
            State::ChunkLine => {
                let Some(line) = line(rest, CHUNK_LINE)? else {
                    return Ok(None);
                };
                let size = chunk_size(line)?;
                self.allowed = self
                    .allowed
                    .checked_sub(size)
                    .ok_or(ContentError::TooLarge)?;
                self.state = if size == 0 {
                    State::Trailers(0)
                } else {
                    State::Chunk(size)
                };
                Ok(Some(line.len() + 2))
            }
            State::ChunkEnd => match rest {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkLine;
                    Ok(Some(2))
                }
                [b'\r'] => Ok(None),
                _ => Err(ContentError::Malformed),
            },
            State::Trailers(before) => {
                let Some(line) = line(rest, TRAILERS - before)? else {
                    return Ok(None);
                };
                let len = line.len() + 2;
                if line.is_empty() {
                    if self.chunks {
                        output.extend_from_slice(b"0\r\n\r\n");
                    }
                    self.state = State::End;
                } else if is_field(line) && before + len <= TRAILERS {
                    self.state = State::Trailers(before + len);
                } else {
                    return Err(ContentError::Malformed);
                }
                Ok(Some(len))
            }
        }
    }
}

fn up_to(bytes: &[u8], most: u64) -> &[u8] {
    let len = usize::try_from(most).map_or(bytes.len(), |most| most.min(bytes.len()));
    &bytes[..len]
}

/// A line without its CRLF; none: it has not all come. No other control characters, and no bare CR or LF.
fn line(bytes: &[u8], longest: usize) -> Result<Option<&[u8]>, ContentError> {
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' => match bytes.get(at + 1) {
                Some(b'\n') => return Ok(Some(&bytes[..at])),
                None => return Ok(None),
                Some(_) => return Err(ContentError::Malformed),
            },
            b'\t' | b' '..=b'~' | 0x80.. if at < longest => {}
            _ => return Err(ContentError::Malformed),
        }
    }
    Ok(None)
}

/// `chunk-size [ chunk-ext ]`: hexadecimal digits and nothing else before the semicolon.
fn chunk_size(line: &[u8]) -> Result<u64, ContentError> {
    let digits = line
        .iter()
        .position(|byte| *byte == b';')
        .map_or(line, |end| &line[..end]);
    let hexadecimal = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    str::from_utf8(digits)
        .ok()
        .filter(|_| hexadecimal)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or(ContentError::Malformed)
}

fn is_field(line: &[u8]) -> bool {
    let name = line.iter().position(|byte| *byte == b':');
    name.is_some_and(|end| {
        end > 0
            && line[..end]
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads it in pieces of so many bytes: what comes out, and what is left.
    fn read(
        content: ContentFraming,
        bytes: &[u8],
        piece: usize,
    ) -> Result<(Vec<u8>, Vec<u8>, bool), ContentError> {
        let mut reader = ContentReader::new(content, 1_000)?;
        let (mut input, mut output) = (Vec::new(), Vec::new());
        for bytes in bytes.chunks(piece.max(1)) {
            input.extend_from_slice(bytes);
            reader.read(&mut input, &mut output)?;
        }
        Ok((output, input, reader.is_complete()))
    }

    /// The data in canonical chunks.
    fn joined(chunks: &[u8]) -> Vec<u8> {
        let (mut rest, mut data) = (chunks, Vec::new());
        loop {
            let line = line(rest, 100).expect("a line").expect("a whole one");
            let size = chunk_size(line).expect("a size") as usize;
            rest = &rest[line.len() + 2..];
            if size == 0 {
                assert_eq!(rest, b"\r\n");
                return data;
            }
            data.extend_from_slice(&rest[..size]);
            assert_eq!(&rest[size..size + 2], b"\r\n");
            rest = &rest[size + 2..];
        }
    }

    #[test]
    fn content_ends_where_its_framing_says_and_what_follows_is_left_alone() {
        let next = b"GET /next HTTP/1.1\r\n";
        let chunked = b"5;name=value\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n";
        for piece in [1, 2, 3, 7, 1_000] {
            let bytes = [b"hello", &next[..]].concat();
            let expected = (b"hello".to_vec(), next.to_vec(), true);
            assert_eq!(read(ContentFraming::Length(5), &bytes, piece), Ok(expected));
            let bytes = [chunked, &next[..]].concat();
            let (output, left, complete) =
                read(ContentFraming::Chunked, &bytes, piece).expect("valid");
            assert_eq!(
                (joined(&output), left, complete),
                (b"hello!".to_vec(), next.to_vec(), true)
            );
            assert_eq!(
                read(ContentFraming::None, next, piece),
                Ok((Vec::new(), next.to_vec(), true))
            );
        }
    }

    #[test]
    fn chunks_that_parsers_disagree_about_are_refused() {
        for bytes in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5 \r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n\n",
            b"5;a\nb\r\nhello\r\n",
            b"5;a\rb\r\nhello\r\n",
            b"\r\n",
            b";a\r\n",
            b"10000000000000000\r\n",
            b"0\r\nnot a field\r\n\r\n",
            b"0\r\n folded: x\r\n\r\n",
            b"0\r\n: x\r\n\r\n",
        ] {
            for piece in [1, 1_000] {
                let outcome = read(ContentFraming::Chunked, bytes, piece);
                let shown = String::from_utf8_lossy(bytes);
                assert_eq!(outcome, Err(ContentError::Malformed), "{shown:?}");
            }
        }
        let long = [b"5;", "a".repeat(300).as_bytes()].concat();
        assert_eq!(
            read(ContentFraming::Chunked, &long, 50),
            Err(ContentError::Malformed)
        );
    }

    #[test]
    fn more_than_is_allowed_is_refused_as_soon_as_it_is_announced() {
        let too_large = Err(ContentError::TooLarge);
        assert_eq!(read(ContentFraming::Length(1_001), b"", 1), too_large);
        assert_eq!(read(ContentFraming::Chunked, b"3e9\r\n", 1), too_large);
        assert_eq!(
            read(ContentFraming::Chunked, b"fffffffffffffff\r\n", 1),
            too_large
        );
    }

    proptest! {
        #[test]
        fn chunked_data_comes_through_whole_however_it_is_cut(data in prop::collection::vec(any::<u8>(), 0..400), size in 1usize..50, piece in 1usize..90) {
            let mut bytes = Vec::new();
            for chunk in data.chunks(size) {
                bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\nrest");
            let (output, left, complete) = read(ContentFraming::Chunked, &bytes, piece).expect("valid");
            prop_assert_eq!((joined(&output), left, complete), (data, b"rest".to_vec(), true));
        }

        #[test]
        fn no_bytes_whatever_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            let _ = read(ContentFraming::Chunked, &bytes, piece);
        }
    }
}
