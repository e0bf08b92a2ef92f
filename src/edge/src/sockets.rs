//! Listening sockets: what is asked of the kernel before the first connection comes. Connections inherit what is set here (Linux), which
//! saves each of them system calls.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::libc;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr, TcpNoDelay};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, listen,
    setsockopt, socket,
};

/// How the sockets for redirects listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// How many connections may wait to be accepted; the kernel takes no more than `net.core.somaxconn`.
    pub backlog: u32,
    /// Whether the kernel keeps a connection to itself until its first bytes are there (`TCP_DEFER_ACCEPT`). Who connects and says
    /// nothing then costs no descriptor and no memory here.
    pub defer_accept: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            backlog: 4096,
            defer_accept: true,
        }
    }
}

/// For how many seconds the kernel waits for the first bytes, at least; then it hands the connection over as it is, and the idle time
/// begins.
const DEFERRED: usize = 10;

#[derive(Clone, Copy, Debug)]
struct DeferAccept;
nix::setsockopt_impl!(
    DeferAccept,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    usize,
    nix::sys::socket::sockopt::SetUsize
);

/// Has the kernel hand over the connections that it keeps until their first bytes.
pub(crate) fn defer_no_longer(socket: &TcpListener) -> io::Result<()> {
    Ok(setsockopt(socket, DeferAccept, &0)?)
}

/// A listening socket that does not block. Port 0 takes a free one. An IPv6 address is for IPv6 alone, so that `0.0.0.0:80` and
/// `[::]:80` can both be given, on every system alike.
pub(crate) fn open(address: SocketAddr, options: SocketOptions) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    // Who has just ended still has connections in TIME-WAIT.
    setsockopt(&socket, ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(&socket, Ipv6V6Only, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    begin(&socket, options)?;
    Ok(socket.into())
}

/// Listens on a socket, or goes on to, in another way, where another process has done so before.
pub(crate) fn begin(socket: &impl AsFd, options: SocketOptions) -> io::Result<()> {
    setsockopt(socket, TcpNoDelay, &true)?;
    let deferred = if options.defer_accept { DEFERRED } else { 0 };
    setsockopt(socket, DeferAccept, &deferred)?;
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    // More than a default kernel takes: as much as this one does.
    listen(
        socket,
        Backlog::new(backlog).unwrap_or(Backlog::MAXALLOWABLE),
    )?;
    Ok(())
}
