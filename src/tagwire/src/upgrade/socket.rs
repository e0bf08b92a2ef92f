//! The socket by which the running process is found: in a folder of the data directory that is its user's alone.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::net;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokio::net::{UnixListener, UnixStream};

/// In the data directory.
const FOLDER: &str = "upgrade";
const SOCKET: &str = "socket";
/// What it is called until it listens.
const NEW: &str = "socket.new";
/// The longest path that a socket's address can hold (`sun_path` without its terminator).
const LONGEST_PATH: usize = 107;

/// Where the socket of a data directory is.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join(FOLDER).join(SOCKET)
}

/// A socket's file, as long as it is there and no other has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    file: (u64, u64),
}

/// Listens in the place of whoever did before. Only for the process that holds the data directory. Within a runtime.
pub(crate) fn listen(data: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let folder = data.join(FOLDER);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
    let new = folder.join(NEW);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = {
        let short = Short::of(&folder, NEW)?;
        net::UnixListener::bind(&short.path)?
    };
    listener.set_nonblocking(true)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    let socket = SocketFile {
        path: path(data),
        file: file(&new)?,
    };
    // There is no moment at which nobody can be found here.
    fs::rename(&new, &socket.path)?;
    Ok((UnixListener::from_std(listener)?, socket))
}

impl SocketFile {
    /// Removes it, unless it is another process's by now.
    pub(crate) fn remove(self) {
        let removed = match file(&self.path) {
            Ok(file) if file == self.file => fs::remove_file(&self.path),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, socket = %self.path.display(), "the socket for upgrades was not removed");
            }
            _ => {}
        }
    }
}

/// Which file a path leads to.
fn file(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Connects to the process that listens there, if one does.
pub(crate) async fn connect(data: &Path) -> io::Result<Option<UnixStream>> {
    let connected = match Short::of(&data.join(FOLDER), SOCKET) {
        Ok(short) => UnixStream::connect(&short.path).await,
        Err(error) => Err(error),
    };
    match connected {
        Ok(stream) => Ok(Some(stream)),
        // There is none, or it is one of a process that was killed.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A path that fits into a socket's address: as it is, or else by way of a descriptor of its folder, which has to stay open meanwhile.
struct Short {
    path: PathBuf,
    _folder: Option<File>,
}

impl Short {
    fn of(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        if path.as_os_str().len() <= LONGEST_PATH {
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let folder = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(folder)?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
        Ok(Self {
            path: path.join(name),
            _folder: Some(folder),
        })
    }
}
