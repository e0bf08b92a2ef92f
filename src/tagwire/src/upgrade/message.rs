//! What the two processes say to each other: lines of JSON over a stream socket, with descriptors beside the offer (`SCM_RIGHTS`). Either may
//! be of another version, or not be Tagwire at all: what comes is bounded and checked.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::UCred;

/// What is spoken here. Another number is another protocol: the running process refuses, and says which one it speaks.
pub(crate) const PROTOCOL: u32 = 1;

/// How many descriptors one message may carry (`SCM_MAX_FD` of Linux).
const MOST_DESCRIPTORS: usize = 253;
/// The longest line: an offer of as many descriptors takes half of it.
const LONGEST: usize = 32 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// The new process: what it speaks, and its version, for people.
    Hello { protocol: u32, version: String },
    /// The running process: what the descriptors beside this are, in their order.
    Offer {
        version: String,
        descriptors: Vec<Descriptor>,
    },
    /// The running process: why not.
    Refused { reason: String },
    /// The new process accepts connections: the other may end.
    Serving,
    /// The running process ends by itself: nothing has to be waited for.
    Ending,
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Descriptor {
    /// A socket that listens there.
    Listener(SocketAddr),
    /// The lock of the data directory.
    DataDirLock,
    /// The lock of the scan log's folder.
    ScanLogLock,
}

impl Descriptor {
    /// Another descriptor of a listening socket.
    pub(crate) fn listener(socket: &TcpListener) -> io::Result<(Self, OwnedFd)> {
        let address = socket.local_addr()?;
        Ok((Self::Listener(address), socket.try_clone()?.into()))
    }
}

/// Why nothing more is heard from the other.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HearingError {
    #[error("it has closed the connection")]
    Closed,
    #[error("it sends something else than Tagwire does")]
    Garbage,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A connection between the two.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Who is at the other end, by the kernel's word.
    pub(crate) fn peer(&self) -> io::Result<UCred> {
        self.stream.peer_cred()
    }

    pub(crate) async fn send(
        &self,
        message: &Message,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        if descriptors.len() > MOST_DESCRIPTORS || line.len() > LONGEST {
            return Err(io::Error::other(format!(
                "{} descriptors are more than can be passed at once",
                descriptors.len()
            )));
        }
        let (mut sent, mut beside) = (0, descriptors);
        while sent < line.len() {
            let send = || Ok(send_with(&self.stream, &line[sent..], beside)?);
            sent += self.stream.async_io(Interest::WRITABLE, send).await?;
            beside = &[]; // they went with the first byte
        }
        Ok(())
    }

    /// The next message. Descriptors beside it are closed.
    pub(crate) async fn receive(&mut self) -> Result<Message, HearingError> {
        self.receive_with(&mut Vec::new(), 0).await
    }

    /// The next message, and the descriptors beside it.
    pub(crate) async fn receive_offer(&mut self) -> Result<(Message, Vec<OwnedFd>), HearingError> {
        let mut descriptors = Vec::new();
        let message = self.receive_with(&mut descriptors, MOST_DESCRIPTORS);
        Ok((message.await?, descriptors))
    }

    async fn receive_with(
        &mut self,
        descriptors: &mut Vec<OwnedFd>,
        most: usize,
    ) -> Result<Message, HearingError> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|_| HearingError::Garbage);
            }
            if self.received.len() > LONGEST {
                return Err(HearingError::Garbage);
            }
            let mut buffer = [0; 4096];
            let receive = || Ok(receive_with(&self.stream, &mut buffer, descriptors, most)?);
            match self.stream.async_io(Interest::READABLE, receive).await {
                Ok(0) => return Err(HearingError::Closed),
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(HearingError::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn send_with(
    stream: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> rustix::io::Result<usize> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(descriptors.len()))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        beside.push(SendAncillaryMessage::ScmRights(descriptors)); // there is room for just these
    }
    let bytes = [IoSlice::new(bytes)];
    sendmsg(stream, &bytes, &mut beside, SendFlags::NOSIGNAL)
}

fn receive_with(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
    most: usize,
) -> rustix::io::Result<usize> {
    let mut space = match most {
        0 => Vec::new(), // the kernel closes what there is no room for
        most => vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(most))],
    };
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(buffer)];
    let received = recvmsg(stream, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    Ok(received.bytes)
}
