//! How a connection goes from the express lane to the general one and back.

use std::io::Cursor;
use std::mem;

use jiff::Timestamp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;

use super::forward::Forward;
use super::general;
use crate::answer::Answer;
use crate::connection::{Connection, End};
use crate::http1;
use crate::lane::Lane;

impl Lane {
    /// Lets the general lane answer the request that a connection has come to, or does so in its place. None: the connection goes on.
    pub(crate) async fn hand_over(
        &self,
        stream: &mut Stream,
        connection: &mut Connection,
        shutdown: &ShutdownWatch,
    ) -> Option<End> {
        let Some((mut request, input)) = connection.hand_over() else {
            return Some(End::Close);
        };
        // Nobody reads or writes what stands in for the stream meanwhile.
        let lent = mem::replace(stream, Box::new(Cursor::new(Vec::new())));
        let forwarded = self
            .general
            .forward(lent, input, &mut request, shutdown)
            .await;
        let Some(returned) = forwarded.stream else {
            return Some(End::Close);
        };
        *stream = returned;
        let input = forwarded.input;
        match forwarded.end {
            general::End::Open => connection.take_back(input, Vec::new(), false),
            general::End::Close => return Some(End::Linger),
            general::End::CutOff => return Some(End::Close),
            general::End::Failed { failure, read } => {
                let Some(answer) = request.answer(failure) else {
                    return Some(End::Close);
                };
                let closes = !read || !request.keep_alive || self.is_draining();
                let answer = self.written(&answer, &request, closes);
                connection.take_back(input, answer, closes);
            }
        }
        None
    }

    fn written(&self, answer: &Answer<'_>, request: &Forward, close: bool) -> Vec<u8> {
        let worker = &mut *self.lock_worker();
        worker.metrics.count_response(answer.status);
        let connection = http1::Connection {
            version: request.version,
            close,
        };
        let accept = [request.accept.as_slice()].into_iter();
        let date = worker.date.at(Timestamp::now());
        let mut out = Vec::new();
        http1::write(&mut out, answer, request.is_head, connection, date, accept);
        out
    }
}
