//! The journal's records survive the way through protobuf, and what is not a valid record is refused with its reason.

use jiff::Timestamp;
use proptest::prelude::*;
use prost::Message;
use tags::{
    Action, ApiKey, AuditEntry, Browser, Change, Code, Country, Dates, Day, Destination, Device,
    Domain, DomainClaim, DomainSettings, Email, Hours, Hsts, IdempotencyEntry, IdempotencySlot,
    Invitation, InvitationId, KeyId, LanguageTag, Limits, MaxScans, Os, PasswordHash, Permission,
    PreviousSecret, PreviousWebhookSecret, QueryMode, RedirectStatus, Region, Role, Rule, Rules,
    ScanNumbers, Scheduled, SecretHash, Share, Status, Tag, TagDefaults, Target, Targets, Topic,
    UpstreamHost, UpstreamUrl, User, UserId, Version, Webhook, WebhookSecret, WebhookUrl, Weight,
    When, WireError, Workspace, WorkspaceId, Zone, parse_network,
};

fn time(microsecond: i64) -> Timestamp {
    Timestamp::from_microsecond(microsecond).expect("in range")
}

/// Every condition, and both forms of destinations.
fn rules() -> Rules {
    let url = |text: &str| Destination::parse(text).expect("valid");
    let when = When {
        device: vec![Device::Tablet, Device::Mobile],
        os: vec![Os::Ios],
        browser: vec![Browser::InApp],
        country: vec![Country::parse("DE").expect("valid")],
        region: vec![Region::parse("DE-BY").expect("valid")],
        language: vec![LanguageTag::parse("de-AT").expect("valid")],
        dates: Dates::new(Some(time(1)), None).ok(),
        hours: Hours::new(
            vec![Day::Fri, Day::Mon],
            "22:00".parse().expect("valid"),
            "06:30".parse().expect("valid"),
            Zone::parse("Europe/Berlin").expect("valid"),
        )
        .ok(),
        query: vec![
            ("ref".into(), Some(vec!["tv".into(), String::new()])),
            ("beta".into(), None),
        ],
        bot: Some(false),
        network: ["203.0.113.0/24", "2001:db8::/32"]
            .map(|text| parse_network(text).expect("valid"))
            .into(),
        share: Share::new(25).ok(),
        scan_number: ScanNumbers::new(None, Some(1001)).ok(),
    };
    let weighted = |path: &str, weight| Target {
        url: url(path),
        weight: Weight::new(weight).expect("valid"),
    };
    let list = vec![
        Rule {
            name: "Everything at once".into(),
            when,
            to: Targets::One(url("https://example.com/one")),
        },
        Rule {
            name: "Älle".into(),
            when: When::default(),
            to: Targets::Weighted(vec![
                weighted("https://example.com/a", 1),
                weighted("https://example.com/b", 1000),
            ]),
        },
        Rule {
            name: "One that is weighed".into(),
            when: When::default(),
            to: Targets::Weighted(vec![weighted("https://example.com/c", 3)]),
        },
    ];
    Rules::new(list).expect("valid")
}

fn tag() -> Tag {
    Tag {
        workspace: WorkspaceId::default_workspace(),
        domain: Domain::parse("qr.example.com").expect("valid"),
        code: Code::parse("Ab3-_x").expect("valid"),
        version: Version::FIRST,
        status: Status::Active,
        destination: Destination::parse("https://example.com/a?b=c#d").expect("valid"),
        rules: rules(),
        redirect_status: RedirectStatus::Found,
        cache_max_age: None,
        starts_at: Some(time(1)),
        expires_at: None,
        max_scans: MaxScans::new(7).ok(),
        fallback_url: Destination::parse("https://example.com/later").ok(),
        query: QueryMode::Override,
        campaign: "Été 2026".into(),
        name: String::new(),
        labels: vec!["can".into(), "330 ml".into()],
        created_at: time(1_790_000_000_000_000),
        updated_at: time(1_790_000_000_000_001),
        updated_by: "key_1".into(),
        scheduled: None,
    }
}

/// The same, which is to become `tag`.
fn scheduled(tag: Tag) -> Tag {
    Tag {
        scheduled: Some(Box::new(Scheduled {
            at: time(7),
            set: r#"{"name": "later"}"#.into(),
            by: "key_2".into(),
            tag,
        })),
        ..self::tag()
    }
}

fn one_of_each() -> Vec<Change> {
    vec![
        Change::Tag(scheduled(Tag {
            version: Version::FIRST.next(),
            name: "later".into(),
            ..tag()
        })),
        Change::Workspace(Workspace {
            id: WorkspaceId::parse("acme").expect("valid"),
            name: "Acme".into(),
            fallback_url: None,
            defaults: TagDefaults {
                redirect_status: Some(RedirectStatus::SeeOther),
                query: Some(QueryMode::Drop),
            },
            limits: Limits {
                max_tags: Some(1),
                max_keys: Some(0),
                api_requests_per_second: Some(3),
                redirects_per_second: Some(u32::MAX),
            },
            retention_days: Some(400),
            created_at: time(5),
        }),
        Change::Domain(DomainSettings {
            name: Domain::parse("qr.example.com").expect("valid"),
            workspace: None,
            is_default: true,
            home_url: Destination::parse("https://example.com/").ok(),
            fallback_url: None,
            upstream_url: UpstreamUrl::parse("https://www.example.com:8443", &[]).ok(),
            upstream_host: UpstreamHost::Upstream,
            case_insensitive: true,
            https_redirect: true,
            hsts: Some(Hsts {
                max_age: 300,
                include_subdomains: true,
            }),
            created_at: time(5),
        }),
        Change::Key(ApiKey {
            id: KeyId::parse("key_1").expect("valid"),
            workspace: WorkspaceId::default_workspace(),
            name: "ci".into(),
            role: Role::Viewer,
            scopes: Some(
                [Permission::TagsRead, Permission::Export]
                    .into_iter()
                    .collect(),
            ),
            secret_hash: SecretHash([7; 32]),
            previous: Some(PreviousSecret {
                hash: SecretHash([8; 32]),
                expires_at: time(8),
            }),
            created_at: time(5),
            expires_at: Some(time(7)),
            revoked_at: Some(time(6)),
        }),
        Change::Claim(DomainClaim {
            workspace: WorkspaceId::parse("acme").expect("valid"),
            domain: DomainSettings {
                workspace: WorkspaceId::parse("acme").ok(),
                ..DomainSettings::new(Domain::parse("qr.example.org").expect("valid"), time(5))
            },
            token: "token".into(),
            ended_at: Some(time(6)),
        }),
        Change::User(User {
            id: UserId::parse("user_1").expect("valid"),
            workspace: WorkspaceId::default_workspace(),
            email: Email::parse("ada@example.com").expect("valid"),
            name: "Ada".into(),
            role: Role::Owner,
            password: PasswordHash("$argon2id$".into()),
            created_at: time(5),
            removed_at: Some(time(6)),
        }),
        Change::Invitation(Invitation {
            id: InvitationId::parse("invitation_1").expect("valid"),
            workspace: WorkspaceId::default_workspace(),
            email: Email::parse("ada@example.com").expect("valid"),
            role: Role::Analyst,
            token_hash: SecretHash([9; 32]),
            invited_by: "key_1".into(),
            created_at: time(5),
            expires_at: time(7),
            ended_at: Some(time(6)),
        }),
        Change::Webhook(Webhook {
            workspace: WorkspaceId::default_workspace(),
            url: WebhookUrl::parse("https://example.com/hook", &[]).expect("valid"),
            secret: WebhookSecret([4; 32]),
            previous: Some(PreviousWebhookSecret {
                secret: WebhookSecret([5; 32]),
                expires_at: time(8),
            }),
            created_at: time(5),
            disabled_at: Some(time(6)),
            ended_at: Some(time(7)),
        }),
        Change::Idempotency(IdempotencyEntry {
            workspace: WorkspaceId::default_workspace(),
            slot: IdempotencySlot::new(9_999).expect("valid"),
            key_hash: [1; 32],
            request_hash: [2; 32],
            at: time(8),
            answer: vec![3; 40],
        }),
        Change::Audit(AuditEntry {
            workspace: WorkspaceId::default_workspace(),
            at: time(9),
            actor: "key_1".into(),
            remote: "192.0.2.1".into(),
            action: Action::Rollback,
            subject: "tag/qr.example.com/Ab3-_x".into(),
            before: None,
            after: Some(tag()),
            fields_before: Some(r#"{"name":"a"}"#.into()),
            fields_after: Some(r#"{"name":"b"}"#.into()),
        }),
    ]
}

#[test]
fn every_kind_of_record_comes_back_as_it_went() {
    for change in one_of_each() {
        let back =
            Change::decode(change.topic(), &change.key(), &change.encode()).expect("decodes");
        assert_eq!(back, change);
    }
}

#[test]
fn a_record_of_a_newer_major_is_refused_whatever_follows() {
    for (topic, key, newest) in [
        (Topic::Tags, "a/b", 3),
        (Topic::Settings, "workspace/a", 1),
        (Topic::Settings, "domain/a", 1),
        (Topic::Accounts, "key/a", 1),
        (Topic::Accounts, "idempotency/a/0", 1),
        (Topic::Audit, "a", 3),
    ] {
        // Field 1, then one of a wire type that there is not.
        let newer = [0x08, newest as u8 + 1];
        match Change::decode(topic, key, &newer) {
            Err(WireError::Major {
                found,
                newest: reads,
            }) => {
                assert_eq!((found, reads), (newest + 1, newest), "{topic}");
            }
            other => panic!("{topic}: {other:?}"),
        }
    }
}

#[test]
fn a_record_with_rules_or_a_limit_is_none_that_a_build_without_them_would_read() {
    let plain = || Tag {
        rules: Rules::default(),
        max_scans: None,
        ..tag()
    };
    let limited = || Tag {
        max_scans: MaxScans::new(7).ok(),
        ..plain()
    };
    let tag = || Tag {
        max_scans: None,
        ..tag()
    };
    let scheduled = |then: Tag, now: Tag| Tag {
        scheduled: scheduled(then).scheduled,
        ..now
    };
    let audit = |before, after| {
        Change::Audit(AuditEntry {
            workspace: WorkspaceId::default_workspace(),
            at: time(9),
            actor: String::new(),
            remote: String::new(),
            action: Action::Update,
            subject: String::new(),
            before,
            after,
            fields_before: None,
            fields_after: None,
        })
    };
    for (change, major) in [
        (Change::Tag(plain()), 1),
        (Change::Tag(tag()), 2),
        (Change::Tag(limited()), 3),
        (Change::Tag(scheduled(limited(), tag())), 3),
        (audit(Some(limited()), Some(plain())), 3),
        (Change::Tag(scheduled(plain(), plain())), 1),
        (Change::Tag(scheduled(tag(), plain())), 2),
        (Change::Tag(scheduled(plain(), tag())), 2),
        (audit(None, Some(plain())), 1),
        (audit(None, Some(tag())), 2),
        (audit(Some(tag()), Some(plain())), 2),
    ] {
        assert_eq!(
            tags::major_format(&change.encode()).ok(),
            Some(major),
            "{change:?}"
        );
    }
}

#[test]
fn a_rule_with_a_condition_that_this_build_does_not_know_is_refused() {
    #[derive(Clone, PartialEq, Message)]
    struct OnlyRule {
        #[prost(message, optional, tag = "20")]
        rule: Option<LaterRule>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct LaterRule {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(bool, optional, tag = "11")]
        bot: Option<bool>,
        #[prost(message, optional, tag = "15")]
        to: Option<OnlyUrl>,
        #[prost(uint32, tag = "16")]
        conditions: u32,
        #[prost(string, tag = "17")]
        later: String,
    }
    #[derive(Clone, PartialEq, Message)]
    struct OnlyUrl {
        #[prost(string, tag = "1")]
        url: String,
    }
    let change = Change::Tag(tag());
    let with = |conditions, later: &str| {
        let rule = LaterRule {
            name: "later".into(),
            bot: Some(true),
            to: Some(OnlyUrl {
                url: "https://example.com/".into(),
            }),
            conditions,
            later: later.into(),
        };
        let added = OnlyRule { rule: Some(rule) }.encode_to_vec();
        Change::decode(
            Topic::Tags,
            &change.key(),
            &[change.encode(), added].concat(),
        )
    };
    // What is no condition may be added.
    assert!(with(1, "").is_ok() && with(1, "a note").is_ok());
    for conditions in [0, 2] {
        let error = with(conditions, "a condition")
            .expect_err("refused")
            .to_string();
        assert!(error.starts_with("field rules.conditions:"), "{error}");
    }
}

#[test]
fn a_record_without_a_major_is_refused() {
    assert!(matches!(
        Change::decode(Topic::Tags, "a/b", &[]),
        Err(WireError::Major { found: 0, .. })
    ));
}

#[test]
fn fields_that_this_build_does_not_know_are_passed_over() {
    let change = Change::Tag(tag());
    let mut bytes = change.encode();
    prost::encoding::string::encode(1_000, &"from a later minor".to_owned(), &mut bytes);
    assert_eq!(
        Change::decode(Topic::Tags, &change.key(), &bytes).expect("decodes"),
        change
    );
}

#[test]
fn a_scope_that_this_build_does_not_know_gives_nothing() {
    let change = one_of_each().swap_remove(3);
    let mut bytes = change.encode();
    prost::encoding::string::encode(9, &"from:later".to_owned(), &mut bytes);
    let read = Change::decode(Topic::Accounts, &change.key(), &bytes).expect("decodes");
    assert_eq!(read, change);
    let Change::Key(key) = change else {
        panic!("the fourth is a key");
    };
    let unscoped = Change::Key(ApiKey {
        scopes: None,
        ..key
    });
    let mut bytes = unscoped.encode();
    prost::encoding::string::encode(9, &"from:later".to_owned(), &mut bytes);
    let read = Change::decode(Topic::Accounts, &unscoped.key(), &bytes).expect("decodes");
    let Change::Key(key) = read else {
        panic!("a key");
    };
    assert!(key.permissions().is_empty());
}

#[test]
fn a_record_under_the_key_of_another_is_refused() {
    let change = Change::Tag(tag());
    let error =
        Change::decode(Topic::Tags, "qr.example.com/other", &change.encode()).expect_err("refused");
    assert!(
        error.to_string().contains("qr.example.com/Ab3-_x"),
        "{error}"
    );
}

#[test]
fn an_invalid_field_is_named() {
    #[derive(Clone, PartialEq, Message)]
    struct OnlyWorkspace {
        #[prost(uint32, tag = "1")]
        major: u32,
        #[prost(string, tag = "2")]
        id: String,
    }
    let bytes = OnlyWorkspace {
        major: 1,
        id: "Not Valid".into(),
    }
    .encode_to_vec();
    let error =
        Change::decode(Topic::Settings, "workspace/Not Valid", &bytes).expect_err("refused");
    assert!(error.to_string().starts_with("field id:"), "{error}");
}

#[test]
fn what_is_scheduled_has_to_be_a_later_version_of_the_same_tag() {
    let next = || Version::FIRST.next();
    let later = Tag {
        version: next(),
        ..tag()
    };
    for wrong in [
        tag(),
        scheduled(later.clone()),
        Tag {
            code: Code::parse("other").expect("valid"),
            ..later.clone()
        },
        Tag {
            workspace: WorkspaceId::parse("acme").expect("valid"),
            ..later.clone()
        },
    ] {
        let change = Change::Tag(scheduled(wrong));
        let error = Change::decode(Topic::Tags, &change.key(), &change.encode());
        let error = error.expect_err("refused").to_string();
        assert!(error.starts_with("field scheduled:"), "{error}");
    }
}

#[test]
fn an_enum_at_zero_is_refused() {
    let bytes = Change::Tag(tag()).encode();
    // A later status = 0 (field 6, varint) wins over the first.
    let bytes = [bytes.as_slice(), &[0x30, 0x00]].concat();
    let error = Change::decode(Topic::Tags, "qr.example.com/Ab3-_x", &bytes).expect_err("refused");
    assert!(error.to_string().contains("status"), "{error}");
}

#[test]
fn the_proto_file_names_each_field_with_the_number_that_is_written() {
    // Field numbers on the wire, in order, must all be declared in the message of the same name.
    let proto = include_str!("../proto/tags.proto");
    for (change, message) in one_of_each().iter().zip([
        "Tag",
        "Workspace",
        "Domain",
        "ApiKey",
        "DomainClaim",
        "User",
        "Invitation",
        "Webhook",
        "IdempotencyEntry",
        "AuditEntry",
    ]) {
        let body = proto
            .split(&format!("message {message} {{"))
            .nth(1)
            .and_then(|rest| rest.split('}').next())
            .expect("declared");
        let mut bytes = change.encode().as_slice().to_vec();
        let mut rest: &[u8] = &mut bytes;
        while !rest.is_empty() {
            let (number, wire_type) = prost::encoding::decode_key(&mut rest).expect("a key");
            assert!(
                body.contains(&format!(" = {number};")),
                "{message} declares no field {number}"
            );
            prost::encoding::skip_field(
                wire_type,
                number,
                &mut rest,
                prost::encoding::DecodeContext::default(),
            )
            .expect("a field");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), topic in 0usize..4) {
        let _ = Change::decode(Topic::ALL[topic], "workspace/a", &bytes);
    }

    #[test]
    fn a_damaged_record_is_never_read_as_another_key(position in 0usize..200, bit in 0u8..8) {
        let change = Change::Tag(tag());
        let mut bytes = change.encode();
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        if let Ok(read) = Change::decode(Topic::Tags, &change.key(), &bytes) {
            prop_assert_eq!(read.key(), change.key());
        }
    }
}
