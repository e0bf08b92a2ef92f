//! What the journal must hold before anyone can use it: the default domain, the workspace `default`, and a first key.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tags::{ApiKey, Change, DomainSettings, KeyId, Role, Workspace, WorkspaceId};

use crate::auth::{hash_secret, random_secret};
use crate::edits::random_key_id;
use crate::index::IndexError;
use crate::service::{Admin, PublishOutcome};

/// Why the first start failed.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// The key has to be somewhere.
    #[error("cannot write the first key to {path}: {source}")]
    KeyFile {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No randomness.
    #[error("the operating system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The journal refuses.
    #[error("cannot publish what a first start needs: {0}")]
    Publish(String),
}

/// Publishes what is missing, all in one transaction. The key's file is written first: a crash in between leaves a file that the next
/// start replaces, never a key that nobody has.
pub(crate) async fn prepare(admin: &Admin) -> Result<(), FirstStartError> {
    let mut changes = default_domain(admin)?;
    let installation = admin.index().installation();
    if !installation.has_keys()? {
        let workspace = WorkspaceId::default_workspace();
        if installation.workspace(&workspace)?.is_none() {
            let made = Workspace::new(workspace.clone(), "Default".to_owned(), admin.now());
            changes.push(Change::Workspace(made));
        }
        changes.push(Change::Key(first_key(admin, workspace)?));
    }
    if changes.is_empty() {
        return Ok(());
    }
    admin
        .publish(changes)
        .await
        .map(|_| ())
        .map_err(|error: PublishOutcome| FirstStartError::Publish(error.to_string()))
}

/// Makes the public URL's host the default domain, and what was it before an ordinary one, whose printed codes go on working.
fn default_domain(admin: &Admin) -> Result<Vec<Change>, FirstStartError> {
    let name = admin.options().public_url.domain();
    let mut changes = Vec::new();
    let installation = admin.index().installation();
    for domain in installation.default_domains()? {
        if domain.name != *name {
            changes.push(Change::Domain(DomainSettings {
                is_default: false,
                ..domain
            }));
        }
    }
    match installation.domain(name)? {
        Some(domain) if domain.is_default => {}
        Some(domain) => changes.push(Change::Domain(DomainSettings {
            is_default: true,
            ..domain
        })),
        None => changes.push(Change::Domain(DomainSettings {
            is_default: true,
            ..DomainSettings::new(name.clone(), admin.now())
        })),
    }
    Ok(changes)
}

fn first_key(admin: &Admin, workspace: WorkspaceId) -> Result<ApiKey, FirstStartError> {
    let secret = random_secret()?;
    let path = admin.options().data_dir.join("admin.key");
    write_secret(&path, &secret).map_err(|source| FirstStartError::KeyFile {
        path: path.clone(),
        source,
    })?;
    tracing::info!(file = %path.display(), "wrote the first key, an owner's of workspace default; keep it safe");
    let id: KeyId = random_key_id()?;
    Ok(ApiKey {
        name: "first key".into(),
        ..ApiKey::new(
            id,
            workspace,
            Role::Owner,
            hash_secret(&secret),
            admin.now(),
        )
    })
}

/// Whole or not at all, readable by the owner alone.
fn write_secret(path: &Path, secret: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("key.new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
