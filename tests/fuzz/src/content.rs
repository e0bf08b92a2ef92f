//! Content of requests: it ends in the same place however it comes in, and comes out in chunks that say the same.

use edge::ContentFraming;
use edge::fuzzing::read_content;

use crate::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let piece = usize::from(input.byte());
    let length = input.short();
    let framing = match length {
        0 => ContentFraming::Chunked,
        length => ContentFraming::Length(length.into()),
    };
    let whole = read_content(framing, input.0, input.0.len());
    let cut = read_content(framing, input.0, piece);
    // A chunk that came in pieces is passed on in pieces.
    assert_eq!(whole.as_ref().map(end), cut.as_ref().map(end));
    let Some((passed_on, read, complete)) = whole else {
        return;
    };
    assert!(read <= input.0.len());
    if framing == ContentFraming::Chunked && complete {
        let again = read_content(framing, &passed_on, passed_on.len());
        assert_eq!(
            again,
            Some((passed_on.clone(), passed_on.len(), true)),
            "what is passed on is read as the same"
        );
        let (of_pieces, ..) = cut.expect("the same");
        assert_eq!(data(&of_pieces), data(&passed_on));
    } else if framing != ContentFraming::Chunked {
        assert_eq!(passed_on, input.0[..read]);
        assert_eq!(complete, read == usize::from(length));
    }
}

fn end((_, read, complete): &(Vec<u8>, usize, bool)) -> (usize, bool) {
    (*read, *complete)
}

/// What is in chunks, read by another parser, as far as they go.
pub(crate) fn data(mut chunks: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while !chunks.is_empty() {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(chunks)
        else {
            panic!("no chunk: {:?}", String::from_utf8_lossy(chunks));
        };
        let end = start + usize::try_from(size).expect("it is in memory");
        data.extend_from_slice(&chunks[start..end]);
        assert!(chunks[end..].starts_with(b"\r\n"));
        chunks = &chunks[end + 2..];
        assert!(size > 0 || chunks.is_empty(), "nothing follows the last");
    }
    data
}
