//! Hours on local clocks: midnight, days of the week, and the nights in which clocks are changed.

use jiff::Timestamp;
use tags::{
    Change, Code, Day, Destination, Domain, Hours, Rule, Rules, Tag, TagView, Targets, Topic, When,
    WorkspaceId, Zone, decide,
};

use crate::facts::Told;

fn holds(days: &[Day], from: &str, to: &str, zone: &str, now: &str) -> bool {
    let tag = tag(days, from, to, zone);
    decide(&tag.view(), || None, &Told::default(), now.parse().unwrap()).rule == "hours"
}

fn tag(days: &[Day], from: &str, to: &str, zone: &str) -> Tag {
    let url = |path: &str| Destination::parse(&format!("https://example.com/{path}")).unwrap();
    let hours = Hours::new(
        days.to_vec(),
        from.parse().unwrap(),
        to.parse().unwrap(),
        Zone::parse(zone).unwrap(),
    );
    let rule = Rule {
        name: "hours".to_owned(),
        when: When {
            hours: Some(hours.unwrap()),
            ..When::default()
        },
        to: Targets::One(url("open")),
    };
    Tag {
        rules: Rules::new(vec![rule]).unwrap(),
        ..Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse("qr.example.com").unwrap(),
            Code::parse("a").unwrap(),
            url("closed"),
            Timestamp::UNIX_EPOCH,
        )
    }
}

#[test]
fn hours_hold_from_their_first_minute_to_their_last_on_the_local_clock() {
    let berlin = |now| holds(&[], "06:00", "09:30", "Europe/Berlin", now);
    // Winter: UTC+1.
    assert!(!berlin("2026-12-01T04:59:59.999999Z"));
    assert!(berlin("2026-12-01T05:00:00Z"));
    assert!(berlin("2026-12-01T08:29:59.999999Z"));
    assert!(!berlin("2026-12-01T08:30:00Z"));
    // Summer: UTC+2.
    assert!(berlin("2026-07-01T04:00:00Z") && !berlin("2026-07-01T07:30:00Z"));
}

#[test]
fn days_are_those_of_the_zone() {
    // Tuesday morning in London, Wednesday already in Kiritimati (UTC+14), and just no longer Monday in Honolulu (UTC-10).
    let now = "2026-12-01T10:00:00Z";
    for (zone, day) in [
        ("Europe/London", Day::Tue),
        ("Pacific/Kiritimati", Day::Wed),
        ("Pacific/Honolulu", Day::Tue),
    ] {
        assert!(holds(&[day], "00:00", "23:59", zone, now), "{zone}");
        let others: Vec<Day> = Day::ALL
            .iter()
            .copied()
            .filter(|other| *other != day)
            .collect();
        assert!(!holds(&others, "00:00", "23:59", zone, now), "{zone}");
    }
    assert!(holds(
        &[Day::Mon],
        "00:00",
        "23:59",
        "Pacific/Honolulu",
        "2026-12-01T09:58:59Z"
    ));
}

#[test]
fn what_is_behind_midnight_belongs_to_the_day_on_which_it_began() {
    // Friday night, 22:00 to 02:00. 2026-12-04 is a Friday.
    let friday = |now| holds(&[Day::Fri], "22:00", "02:00", "Etc/UTC", now);
    for (now, open) in [
        ("2026-12-04T01:00:00Z", false), // Thursday's night
        ("2026-12-04T21:59:59Z", false),
        ("2026-12-04T22:00:00Z", true),
        ("2026-12-05T00:00:00Z", true),
        ("2026-12-05T01:59:59Z", true),
        ("2026-12-05T02:00:00Z", false),
        ("2026-12-05T22:00:00Z", false), // Saturday's own
    ] {
        assert_eq!(friday(now), open, "{now}");
    }
    // Sunday's night reaches into Monday.
    assert!(holds(
        &[Day::Sun],
        "22:00",
        "02:00",
        "Etc/UTC",
        "2026-12-07T01:00:00Z"
    ));
    // To midnight: nothing is behind it.
    assert!(holds(
        &[Day::Fri],
        "22:00",
        "00:00",
        "Etc/UTC",
        "2026-12-04T23:59:59Z"
    ));
    assert!(!holds(
        &[Day::Fri],
        "22:00",
        "00:00",
        "Etc/UTC",
        "2026-12-05T00:00:00Z"
    ));
}

#[test]
fn an_hour_that_is_left_out_does_not_come_and_one_that_comes_twice_holds_twice() {
    // Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00Z.
    let left_out = |now| holds(&[], "02:00", "03:00", "Europe/Berlin", now);
    assert!(!left_out("2026-03-29T00:59:59Z") && !left_out("2026-03-29T01:00:00Z"));
    assert!(holds(
        &[],
        "01:30",
        "03:30",
        "Europe/Berlin",
        "2026-03-29T01:10:00Z"
    ));
    // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00Z.
    let twice = |now| holds(&[Day::Sun], "02:00", "03:00", "Europe/Berlin", now);
    assert!(!twice("2026-10-24T23:59:59Z"));
    assert!(twice("2026-10-25T00:00:00Z") && twice("2026-10-25T00:59:59Z"));
    assert!(twice("2026-10-25T01:00:00Z") && twice("2026-10-25T01:59:59Z"));
    assert!(!twice("2026-10-25T02:00:00Z"));
    // Lord Howe moves its clocks by half an hour: 2026-04-05, 02:00 becomes 01:30 at 2026-04-04T15:00Z.
    let half = |now| holds(&[], "01:30", "02:00", "Australia/Lord_Howe", now);
    assert!(
        half("2026-04-04T14:45:00Z")
            && half("2026-04-04T15:15:00Z")
            && !half("2026-04-04T15:30:00Z")
    );
}

#[test]
fn a_zone_that_there_is_not_is_refused_with_the_nearest() {
    for (given, near) in [
        ("Europe/Berlim", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("America/NewYork", "America/New_York"),
    ] {
        let refusal = Zone::parse(given).unwrap_err().to_string();
        assert!(
            refusal.ends_with(&format!("did you mean {near}?")),
            "{refusal}"
        );
    }
}

#[test]
fn a_zone_of_another_build_is_kept_and_holds_for_nobody() {
    let tag = tag(&[], "00:00", "23:59", "Europe/Berlin");
    let written = tag.rules.view().as_bytes();
    let of_zone = |name: &[u8; 13]| {
        let at = written.windows(13).position(|it| it == b"Europe/Berlin");
        let mut bytes = written.to_vec();
        bytes[at.unwrap()..][..13].copy_from_slice(name);
        bytes
    };
    let rule_at_noon = |bytes: &[u8]| {
        let rules = Rules::from_compiled(bytes)?;
        let rules = rules.view();
        let view = TagView {
            rules,
            ..tag.view()
        };
        let noon = "2026-06-01T12:00:00Z".parse().unwrap();
        Some(
            decide(&view, || None, &Told::default(), noon)
                .rule
                .to_owned(),
        )
    };
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(rule_at_noon(&of_zone(b"Europe/Berlin")), name("hours"));
    assert_eq!(rule_at_noon(&of_zone(b"Europe/Utopia")), name(""));
    assert_eq!(rule_at_noon(&of_zone(b"Europe Berlin")), None);

    // What a snapshot keeps, the topic does.
    let change = Change::Tag(Tag {
        rules: Rules::from_compiled(&of_zone(b"Europe/Utopia")).unwrap(),
        ..tag
    });
    let read = Change::decode(Topic::Tags, &change.key(), &change.encode());
    assert_eq!(read.expect("what we write"), change);
}
