//! HTTP/2 requests for a site: the general lane speaks HTTP/1.1 into a pipe, and what comes out is put into the stream's words. One parser
//! reads requests and one proxy forwards them, whatever protocol brought them.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use pingora_core::server::ShutdownWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use super::content::{ContentFraming, ContentReader};
use super::failure::Failure;
use super::forward::Forward;
use super::general::{End, GeneralLane};
use super::pace::Pace;
use crate::http2_answer;
use crate::lane::Lane;

/// What the pipe holds: beyond it, the faster side waits for the slower.
const PIPE: usize = 64 * 1024;
/// The longest head of an answer; beyond it the answer is none.
const HEAD: usize = 64 * 1024;
const FIELDS: usize = 256;

/// A stream whose request is for a site.
pub(crate) struct ForSite {
    pub(crate) request: Box<Forward>,
    pub(crate) content: RecvStream,
    pub(crate) stream: SendResponse<Bytes>,
}

/// How a stream for a site ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// With an answer, or with the site's or the connection's failure to give one.
    Over,
    /// The client took the request back before any of the answer was there.
    Cancelled,
}

impl Lane {
    /// Lets the general lane answer a stream, or does so in its place.
    pub(crate) async fn answer_stream(
        self,
        for_site: ForSite,
        shutdown: ShutdownWatch,
    ) -> StreamEnd {
        let ForSite {
            request,
            content,
            mut stream,
        } = for_site;
        let is_reset = poll_fn(|cx| Poll::Ready(stream.poll_reset(cx).is_ready()));
        if is_reset.await {
            return StreamEnd::Cancelled;
        }
        let general = Arc::clone(&self.general);
        let (request, failure) =
            match forward(general, request, content, &mut stream, shutdown).await {
                Err(Unanswered::Failed(request, failure)) => (request, failure),
                Err(Unanswered::Cancelled) => return StreamEnd::Cancelled,
                Ok(()) | Err(Unanswered::Over) => return StreamEnd::Over,
            };
        let Some(answer) = request.answer(failure) else {
            stream.send_reset(Reason::CANCEL);
            return StreamEnd::Over;
        };
        let worker = &mut *self.lock_worker();
        worker.metrics.count_response(answer.status);
        let date = worker.date.at(Timestamp::now()).as_bytes();
        let accept = [request.accept.as_slice()].into_iter();
        // Who has taken the request back misses the answer only.
        let _ = http2_answer::send(&mut stream, &answer, request.is_head, date, accept);
        StreamEnd::Over
    }
}

/// Why the stream did not get a site's answer.
enum Unanswered {
    /// Nothing has been said.
    Failed(Box<Forward>, Failure),
    /// Nothing has been said, and nobody waits for it any more.
    Cancelled,
    /// The answer ended in the middle, or the client has gone. The stream has been reset.
    Over,
}

impl From<h2::Error> for Unanswered {
    fn from(_: h2::Error) -> Self {
        Self::Over
    }
}

/// Gives a request and its content to its site, and the site's answer to the stream.
///
/// The exchange with the site is a task of its own, which nobody ends but the site, its time-outs, or an answer that finds its reader
/// gone: a client that takes requests back gets its places at the site back no sooner than the site is done with them.
async fn forward(
    general: Arc<GeneralLane>,
    mut request: Box<Forward>,
    content: RecvStream,
    stream: &mut SendResponse<Bytes>,
    shutdown: ShutdownWatch,
) -> Result<(), Unanswered> {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let (mut answer, to_site) = tokio::io::split(ours);
    let (framing, is_head) = (request.content, request.is_head);
    let mut pace = Pace::new(general.answer_pace());
    let exchange = tokio::spawn(async move {
        let forwarded = general.forward(Box::new(theirs), Vec::new(), &mut request, &shutdown);
        let end = forwarded.await.end; // the pipe's other end is dropped with it, and the answer has all come
        (end, request)
    });
    let outcome = {
        // One that panicked has dropped its end of the pipe.
        let exchanged = async { exchange.await.map_err(|_| Unanswered::Over) };
        let answering = send_answer(&mut answer, stream, is_head, &mut pace);
        let answered = async { tokio::try_join!(exchanged, answering) };
        let sending = send_content(content, to_site, framing);
        tokio::pin!(answered, sending);
        // An answer may come before all content has been sent, which then stays where it is.
        tokio::select! {
            outcome = &mut answered => outcome,
            () = &mut sending => answered.await,
        }
    };
    match outcome? {
        ((End::Failed { failure, .. }, request), _) => Err(Unanswered::Failed(request, failure)),
        ((End::CutOff, _), _) | (_, Answered::Not | Answered::InPart) => {
            stream.send_reset(Reason::INTERNAL_ERROR);
            Err(Unanswered::Over)
        }
        ((End::Open | End::Close, _), Answered::Whole) => Ok(()),
    }
}

/// How much of an answer came through the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Not,
    InPart,
    Whole,
}

/// Writes content as HTTP/1.1 frames it. When the client takes it back, the pipe ends in the middle.
async fn send_content(
    mut content: RecvStream,
    mut pipe: WriteHalf<DuplexStream>,
    framing: ContentFraming,
) {
    let sent = async {
        while let Some(piece) = content.data().await {
            let piece = piece.map_err(io::Error::other)?;
            if framing == ContentFraming::Chunked && !piece.is_empty() {
                let line = format!("{:x}\r\n", piece.len());
                pipe.write_all(line.as_bytes()).await?;
                pipe.write_all(&piece).await?;
                pipe.write_all(b"\r\n").await?;
            } else {
                pipe.write_all(&piece).await?;
            }
            let freed = content.flow_control().release_capacity(piece.len());
            freed.map_err(io::Error::other)?;
        }
        if framing == ContentFraming::Chunked {
            pipe.write_all(b"0\r\n\r\n").await?;
        }
        io::Result::Ok(())
    };
    if sent.await.is_err() {
        let _ = pipe.shutdown().await; // whoever reads there sees the end
    }
}

/// Puts the answer that comes through the pipe into the stream's words.
async fn send_answer(
    pipe: &mut ReadHalf<DuplexStream>,
    stream: &mut SendResponse<Bytes>,
    is_head: bool,
    pace: &mut Pace,
) -> Result<Answered, Unanswered> {
    let mut input = BytesMut::new();
    let (response, framing) = loop {
        let read = tokio::select! {
            read = pipe.read_buf(&mut input) => read,
            _ = poll_fn(|cx| stream.poll_reset(cx)) => return Err(Unanswered::Cancelled),
        };
        if !matches!(read, Ok(len) if len > 0) {
            return Ok(Answered::Not);
        }
        match read_head(&mut input, is_head) {
            Ok(Some(head)) => break head,
            Ok(None) if input.len() <= HEAD => {}
            _ => return Ok(Answered::Not),
        }
    };
    let Ok(mut content) = ContentReader::for_answer(framing) else {
        return Ok(Answered::Not);
    };
    let empty = content.is_complete();
    let mut body = stream.send_response(response, empty)?;
    let (mut input, mut output) = (input.to_vec(), Vec::new());
    while !content.is_complete() {
        if content.read(&mut input, &mut output).is_err() {
            return Ok(Answered::InPart);
        }
        if !output.is_empty() {
            let data = Bytes::from(std::mem::take(&mut output));
            match pace.take(data.len(), send_data(&mut body, data)).await {
                Some(sent) => sent?,
                None => return Err(reset(&mut body)),
            }
            continue;
        }
        if !content.is_complete() && !matches!(pipe.read_buf(&mut input).await, Ok(len) if len > 0)
        {
            return Ok(Answered::InPart);
        }
    }
    if !empty {
        body.send_data(Bytes::new(), true)?;
    }
    Ok(Answered::Whole)
}

fn reset(body: &mut SendStream<Bytes>) -> Unanswered {
    body.send_reset(Reason::CANCEL);
    Unanswered::Over
}

/// Sends as the client's windows allow (RFC 9113 §5.2).
async fn send_data(body: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Unanswered> {
    while data.has_remaining() {
        body.reserve_capacity(data.len());
        match poll_fn(|cx| body.poll_capacity(cx)).await {
            Some(Ok(0)) => {}
            Some(Ok(room)) => {
                let piece = data.split_to(room.min(data.len()));
                body.send_data(piece, false)?;
            }
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Unanswered::Over),
        }
    }
    Ok(())
}

/// The head of the answer and how its content is framed. None: it has not all come. Interim answers are left out. Pingora wrote it, and
/// refused what cannot be said.
fn read_head(
    input: &mut BytesMut,
    is_head: bool,
) -> Result<Option<(Response<()>, ContentFraming)>, httparse::Error> {
    loop {
        let mut places = [httparse::EMPTY_HEADER; FIELDS];
        let mut head = httparse::Response::new(&mut places);
        let httparse::Status::Complete(len) = head.parse(input)? else {
            return Ok(None);
        };
        let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(httparse::Error::Status)?;
        let mut response = Response::new(());
        *response.status_mut() = status;
        let mut framing = ContentFraming::None;
        for field in head.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(httparse::Error::HeaderName);
            };
            // RFC 9113 §8.2.2: these are of the connection.
            if name == TRANSFER_ENCODING {
                framing = ContentFraming::Chunked;
            } else if name != CONNECTION {
                if name == CONTENT_LENGTH {
                    let length = value.to_str().ok().and_then(|text| text.parse().ok());
                    framing = ContentFraming::Length(length.ok_or(httparse::Error::HeaderValue)?);
                }
                response.headers_mut().append(name, value);
            }
        }
        input.advance(len);
        if status.is_informational() {
            continue;
        }
        let empty = is_head || matches!(status.as_u16(), 204 | 304);
        let framing = if empty { ContentFraming::None } else { framing };
        return Ok(Some((response, framing)));
    }
}
