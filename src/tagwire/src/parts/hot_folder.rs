//! Which folder the scan log gets when none is configured: one in shared memory, so that appending never waits for a disk; the data
//! directory where that has no room.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// tmpfs on every Linux.
const SHARED_MEMORY: &str = "/dev/shm";

/// The smallest segment that a writer is given: below that, it would be changed too often.
const LEAST_SEGMENT: u64 = 1 << 20;

/// The folder for a data directory and so many segments that are open at once.
pub(crate) fn choose(data_dir: &Path, segments: u64) -> PathBuf {
    let in_data_dir = data_dir.join("scan-log");
    if has_segments(&in_data_dir) {
        // Of a time when there was no room: they are shipped from where they lie.
        return in_data_dir;
    }
    let shared = Path::new(SHARED_MEMORY).join(name(data_dir));
    match usable(&shared, segments * LEAST_SEGMENT) {
        Ok(()) => shared,
        Err(reason) => {
            tracing::warn!(
                folder = %shared.display(),
                instead = %in_data_dir.display(),
                reason,
                "the scan log cannot be in shared memory: redirects may wait for the disk"
            );
            in_data_dir
        }
    }
}

/// The same in every build, so that the next version finds what this one left.
fn name(data_dir: &Path) -> String {
    let hash = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    let hash: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("tagwire-{hash}")
}

fn usable(folder: &Path, bytes: u64) -> Result<(), String> {
    if let Ok(metadata) = fs::symlink_metadata(folder) {
        // Anyone may make folders in shared memory, also one of this name.
        let ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
        if !ours || metadata.permissions().mode() & 0o077 != 0 {
            return Err("it exists and is not this user's alone".to_owned());
        }
        if has_segments(folder) {
            return Ok(());
        }
    }
    let room = rustix::fs::statvfs(SHARED_MEMORY).map_err(|error| error.to_string())?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if free < bytes {
        return Err(format!("it needs {bytes} bytes, {free} are free"));
    }
    Ok(())
}

fn has_segments(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "segment")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_keeps_its_folder_over_builds() {
        // SHA-256 of "/var/lib/tagwire", by sha256sum.
        assert_eq!(
            name(Path::new("/var/lib/tagwire")),
            "tagwire-3062ffb64e4e7f09"
        );
        assert_ne!(name(Path::new("/a")), name(Path::new("/b")));
    }

    #[test]
    fn without_room_in_shared_memory_the_data_directory_is_taken() {
        let data = tempfile::tempdir().unwrap();
        let chosen = choose(data.path(), u64::MAX / LEAST_SEGMENT);
        assert_eq!(chosen, data.path().join("scan-log"));
    }

    #[test]
    fn segments_that_lie_in_the_data_directory_are_gone_back_to() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("scan-log");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("1.segment"), b"").unwrap();
        assert_eq!(choose(data.path(), 1), folder);
    }

    #[test]
    fn a_folder_that_others_may_write_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(
            usable(folder.path(), 1)
                .unwrap_err()
                .contains("not this user's alone")
        );
    }
}
