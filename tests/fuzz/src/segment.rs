//! Segments of the scan log that another boot left, with bytes overwritten: what is undamaged is shipped once and in order, and
//! whatever the damage, the shipper comes to an end.

use jiff::Timestamp;
use scans::fuzzing::{damage, leave_segment, ship_segment};
use scans::{HttpVersion, IpPrefix, Method, NewScan, Purpose, ScanBatch, Visitor, WriterKey};
use tags::Outcome;

use crate::input::Input;
use crate::snapshot::folder;

thread_local! {
    static FOLDER: tempfile::TempDir = folder();
}

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let first_seq = input.long();
    let (count, acknowledged, batch_bytes) =
        (u64::from(input.byte() % 32), input.short(), input.short());
    let texts: Vec<&[u8]> = (0..count).map(|_| input.short_bytes()).collect();
    let path = FOLDER.with(|folder| folder.path().join("of-another-boot.segment"));
    let key = WriterKey {
        edge: "edge-1".into(),
        boot: 7,
        writer: 2,
    };
    let scans = texts.iter().map(|text| scan(text));
    leave_segment(&path, &key, first_seq, scans, acknowledged.into()).expect("room for a segment");
    let undamaged = input.is_empty();
    while !input.is_empty() {
        let at = input.short();
        damage(&path, at.into(), input.short_bytes()).expect("the file is there");
    }
    let shipped = ship_segment(&path, batch_bytes.into());
    std::fs::remove_file(&path).expect("the file is there");
    let Ok(shipped) = shipped else {
        assert!(!undamaged, "refused without damage: {shipped:?}");
        return;
    };
    assert!(shipped.ended, "the shipper has not come to the end");
    let mut next = 0;
    let mut all = 0;
    for (number, bytes) in &shipped.batches {
        let batch = ScanBatch::decode(bytes).expect("what we send");
        assert_eq!(batch.first_seq, *number);
        assert!(
            batch.first_seq >= next,
            "scan {} comes a second time",
            batch.first_seq
        );
        next = batch.first_seq + u64::from(batch.count);
        all += u64::from(batch.count);
    }
    if undamaged && acknowledged == 0 {
        let written = count.min(u64::MAX - first_seq);
        assert_eq!((all, shipped.left), (written, written));
    }
}

fn scan(text: &[u8]) -> NewScan<'_> {
    NewScan {
        time: Timestamp::UNIX_EPOCH,
        workspace: "default",
        domain: "a.example",
        code: "a",
        campaign: "",
        tag_version: 1,
        outcome: Outcome::Redirected,
        rule: "",
        destination_index: 0,
        method: Method::Get,
        purpose: Purpose::Navigation,
        ip_prefix: IpPrefix::of([192, 0, 2, 1].into()),
        visitor: Visitor::from_u64(1),
        user_agent: text,
        language: text,
        referrer_host: text,
        http_version: HttpVersion::Http11,
        bot_network: "",
    }
}
