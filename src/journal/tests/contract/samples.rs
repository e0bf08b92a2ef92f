//! Changes to publish in tests.

use jiff::Timestamp;
use tags::{
    Action, AuditEntry, Change, Code, Destination, Domain, DomainSettings, QueryMode,
    RedirectStatus, Status, Tag, UpstreamHost, Version, WorkspaceId,
};

fn time() -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_123_456).unwrap()
}

/// A tag whose versions differ in their destinations.
pub(crate) fn tag(code: &str, version: u64) -> Tag {
    Tag {
        workspace: WorkspaceId::default_workspace(),
        domain: Domain::parse("qr.example.com").unwrap(),
        code: Code::parse(code).unwrap(),
        version: Version::new(version).unwrap(),
        status: Status::Active,
        destination: Destination::parse(&format!("https://example.com/{code}/{version}")).unwrap(),
        redirect_status: RedirectStatus::Found,
        cache_max_age: None,
        starts_at: None,
        expires_at: None,
        fallback_url: None,
        query: QueryMode::default(),
        campaign: "spring".to_owned(),
        name: String::new(),
        labels: vec!["print".to_owned()],
        created_at: time(),
        updated_at: time(),
        updated_by: "k1".to_owned(),
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
    };
    vec![Change::Tag(tag), Change::Audit(entry)]
}

/// A domain.
pub(crate) fn domain(name: &str) -> Change {
    Change::Domain(DomainSettings {
        name: Domain::parse(name).unwrap(),
        workspace: None,
        is_default: true,
        home_url: None,
        fallback_url: None,
        upstream_url: None,
        upstream_host: UpstreamHost::Visitor,
        case_insensitive: false,
        https_redirect: true,
        hsts: None,
        created_at: time(),
    })
}

/// A tag that no journal takes.
pub(crate) fn too_large() -> Change {
    Change::Tag(Tag {
        name: "x".repeat(journal::MAX_RECORD_BYTES),
        ..tag("large", 1)
    })
}
