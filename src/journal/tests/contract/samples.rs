//! Changes to publish in tests.

use jiff::Timestamp;
use tags::{
    Action, AuditEntry, Change, Code, Destination, Domain, DomainSettings, Tag, Version,
    WorkspaceId,
};

fn time() -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_123_456).unwrap()
}

/// A tag whose versions differ in their destinations.
pub(crate) fn tag(code: &str, version: u64) -> Tag {
    let destination = format!("https://example.com/{code}/{version}");
    Tag {
        version: Version::new(version).unwrap(),
        campaign: "spring".to_owned(),
        labels: vec!["print".to_owned()],
        updated_by: "k1".to_owned(),
        scheduled: None,
        ..Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse("qr.example.com").unwrap(),
            Code::parse(code).unwrap(),
            Destination::parse(&destination).unwrap(),
            time(),
        )
    }
}

/// The same as a change.
pub(crate) fn change(code: &str, version: u64) -> Change {
    Change::Tag(tag(code, version))
}

/// A tag's change with its entry in the audit log.
pub(crate) fn audited(code: &str, version: u64) -> Vec<Change> {
    let tag = tag(code, version);
    let entry = AuditEntry {
        workspace: tag.workspace.clone(),
        at: time(),
        actor: "k1".to_owned(),
        remote: "198.51.100.7".to_owned(),
        action: Action::Update,
        subject: format!("tag/{}/{}", tag.domain, tag.code),
        before: None,
        after: Some(tag.clone()),
        fields_before: None,
        fields_after: None,
    };
    vec![Change::Tag(tag), Change::Audit(entry)]
}

/// A domain.
pub(crate) fn domain(name: &str) -> Change {
    Change::Domain(DomainSettings {
        is_default: true,
        https_redirect: true,
        ..DomainSettings::new(Domain::parse(name).unwrap(), time())
    })
}

/// A tag that no journal takes.
pub(crate) fn too_large() -> Change {
    Change::Tag(Tag {
        name: "x".repeat(journal::MAX_RECORD_BYTES),
        ..tag("large", 1)
    })
}
