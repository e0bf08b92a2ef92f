//! How the comparison is told: a line for each writer, their sum, and a verdict.

use std::collections::BTreeMap;

use analytics::{LedgerReport, Period, WriterLedger};
use serde_json::{Value, json};
use tags::WorkspaceId;

use crate::client::Failure;
use crate::client::output::{Column, Output, cell, columns, print_json};

/// Of all writers together.
const ALL: &[Column] = &[
    Column::new("edge", |item| cell(&item["edge"])),
    Column::new("boot", |item| cell(&item["boot"])),
    Column::new("writer", |item| cell(&item["writer"])),
    Column::new("accepted", |item| cell(&item["accepted"])),
    Column::new("stored", |item| cell(&item["stored"])),
    Column::new("dropped", dropped),
    Column::new("dead", |item| cell(&item["dead"])),
    Column::new("expired", |item| cell(&item["expired"])),
    Column::new("missing", |item| cell(&item["missing"])),
    Column::new("unexplained", |item| cell(&item["unexplained"])),
    Column::new("duplicates", |item| cell(&item["duplicates"])),
    Column::new("deduplicated", |item| cell(&item["deduplicated"])),
    Column::new("unknown after", |item| cell(&item["unknown_after"])),
];

/// What is known of one workspace.
const OF_WORKSPACE: &[Column] = columns!["edge", "boot", "writer", "stored", "rows", "duplicates"];

fn dropped(item: &Value) -> String {
    let reasons = item["dropped"].as_object().into_iter().flatten();
    let told: Vec<String> = reasons
        .map(|(reason, count)| format!("{} {}", cell(count), cell(&json!(reason))))
        .collect();
    if told.is_empty() {
        return "0".to_owned();
    }
    told.join(", ")
}

pub(super) fn print(
    report: &LedgerReport,
    period: &Period,
    workspace: Option<&WorkspaceId>,
    output: Output,
) -> Result<(), Failure> {
    let writers: Vec<Value> = report.writers.iter().map(of_writer).collect();
    let total = total(report, workspace.is_none());
    if !output.json {
        let mut sum = total;
        sum["edge"] = json!("all");
        let rows: Vec<Value> = writers.into_iter().chain([sum]).collect();
        let columns = if workspace.is_none() {
            ALL
        } else {
            OF_WORKSPACE
        };
        return output.rows(&rows, columns);
    }
    print_json(&json!({
        "from": period.from().to_string(),
        "to": period.to().to_string(),
        "workspace": workspace.map(WorkspaceId::as_str),
        "verdict": word(report, workspace),
        "total": total,
        "under_way": {"batches": report.under_way.batches, "scans": report.under_way.scans},
        "unreadable_batches": report.unreadable,
        "writers": writers,
    }))
}

/// The verdict for programs.
fn word(report: &LedgerReport, workspace: Option<&WorkspaceId>) -> &'static str {
    match (report.is_exact(), workspace) {
        _ if report.writers.is_empty() => "nothing",
        (true, None) => "exact",
        (true, Some(_)) => "no_duplicates",
        (false, None) => "differs",
        (false, Some(_)) => "duplicates",
    }
}

fn of_writer(ledger: &WriterLedger) -> Value {
    let (writer, kept) = (&ledger.writer, &ledger.kept);
    let mut told = json!({
        "edge": &*writer.edge,
        // As it is written in logs; a number of 64 bits is more than JavaScript can read.
        "boot": format!("{:016x}", writer.boot),
        "writer": writer.writer,
        "first_seq": ledger.numbers.start,
        "next_seq": ledger.numbers.end,
        "stored": kept.stored,
        "rows": kept.rows,
        "duplicates": ledger.duplicates(),
        "last_heard": ledger.heard.to_string(),
        "unknown_after": ledger.unknown_after,
    });
    if let Some(compared) = &ledger.compared {
        told["accepted"] = compared.accepted.into();
        told["dropped"] = json!(compared.dropped);
        told["dead"] = kept.dead.into();
        told["expired"] = kept.expired.into();
        told["missing"] = compared.missing.into();
        told["unexplained"] = compared.unexplained.into();
        told["deduplicated"] = compared.deduplicated.into();
    }
    told
}

fn total(report: &LedgerReport, with_accepted: bool) -> Value {
    let sum = |number: fn(&WriterLedger) -> u64| -> u64 {
        let numbers = report.writers.iter().map(number);
        numbers.fold(0, u64::saturating_add)
    };
    let mut told = json!({
        "stored": sum(|writer| writer.kept.stored),
        "rows": sum(|writer| writer.kept.rows),
        "duplicates": report.duplicates(),
    });
    if with_accepted {
        let mut dropped: BTreeMap<&str, u64> = BTreeMap::new();
        let compared = report.writers.iter().flat_map(|writer| &writer.compared);
        for (reason, count) in compared.flat_map(|compared| &compared.dropped) {
            let all = dropped.entry(reason).or_default();
            *all = all.saturating_add(*count);
        }
        told["accepted"] = sum(|writer| writer.compared.as_ref().map_or(0, |c| c.accepted)).into();
        told["dropped"] = json!(dropped);
        told["dead"] = sum(|writer| writer.kept.dead).into();
        told["expired"] = sum(|writer| writer.kept.expired).into();
        told["missing"] = sum(|writer| writer.compared.as_ref().map_or(0, |c| c.missing)).into();
        told["unexplained"] = report.unexplained().into();
        told["deduplicated"] =
            sum(|writer| writer.compared.as_ref().map_or(0, |c| c.deduplicated)).into();
    }
    told
}

/// The verdict for people, and what it does not cover.
pub(super) fn verdict(report: &LedgerReport, workspace: Option<&WorkspaceId>) -> String {
    let (unexplained, duplicates) = (report.unexplained(), report.duplicates());
    let mut told = vec![match word(report, workspace) {
        "nothing" => "Nothing to compare: no batch of this time is settled.".to_owned(),
        "exact" => "Exact: every scan that was accepted is stored once, or its loss is counted.".to_owned(),
        "no_duplicates" => "No scan of the workspace is stored twice. What was accepted is known of all workspaces together only.".to_owned(),
        _ => {
            let mut differs = Vec::new();
            if unexplained > 0 {
                differs.push(format!("scans that are missing and that nothing explains: {unexplained}"));
            }
            if duplicates > 0 {
                differs.push(format!("rows of scans that are stored already: {duplicates}"));
            }
            format!("There is a difference: {}.", differs.join("; "))
        }
    }];
    let silent = report
        .writers
        .iter()
        .filter(|writer| writer.unknown_after.is_some());
    let silent = silent.count();
    if silent > 0 {
        told.push(format!("Writers that fell silent, so that nobody knows what they accepted afterwards: {silent}."));
    }
    if report.unreadable > 0 {
        told.push(format!("Records that could not be read as batches, whose scans, if they held any, are missing: {}.", report.unreadable));
    }
    let open = report.under_way;
    if open.batches > 0 {
        told.push(format!(
            "Not compared, as the sink has not settled them: {} batches with {} scans.",
            open.batches, open.scans
        ));
    }
    told.join(" ")
}

#[cfg(test)]
mod tests {
    use analytics::{Compared, Kept, UnderWay};
    use jiff::Timestamp;
    use scans::WriterKey;

    use super::*;

    fn writer(unexplained: u64, rows: u64, unknown_after: Option<u64>) -> WriterLedger {
        let dropped = [("log_full".to_owned(), 2), ("unknown_cap".to_owned(), 5)];
        WriterLedger {
            writer: WriterKey {
                edge: "e\u{1b}[1m".into(),
                boot: u64::MAX,
                writer: 3,
            },
            numbers: 10..30,
            kept: Kept {
                rows,
                stored: 17,
                dead: 1,
                expired: 6,
            },
            compared: Some(Compared {
                accepted: 25,
                dropped: dropped.into(),
                missing: 2 + unexplained,
                unexplained,
                deduplicated: 4,
            }),
            unknown_after,
            heard: Timestamp::UNIX_EPOCH,
        }
    }

    fn report(writers: Vec<WriterLedger>) -> LedgerReport {
        LedgerReport {
            writers,
            under_way: UnderWay::default(),
            unreadable: 0,
        }
    }

    #[test]
    fn the_sum_is_over_all_writers_and_reasons() {
        let both = report(vec![writer(0, 17, None), writer(1, 19, Some(29))]);
        let total = total(&both, true);
        let dropped = json!({"log_full": 4, "unknown_cap": 10});
        for (name, number) in [
            ("accepted", json!(50)),
            ("stored", json!(34)),
            ("rows", json!(36)),
            ("duplicates", json!(2)),
            ("dropped", dropped),
            ("dead", json!(2)),
            ("expired", json!(12)),
            ("missing", json!(5)),
            ("unexplained", json!(1)),
            ("deduplicated", json!(8)),
        ] {
            assert_eq!(total[name], number, "{name}");
        }
        assert_eq!(of_writer(&both.writers[0])["boot"], "ffffffffffffffff");
    }

    #[test]
    fn the_verdict_names_every_difference_and_what_it_does_not_cover() {
        let none = verdict(&report(Vec::new()), None);
        assert!(none.starts_with("Nothing to compare"), "{none}");
        let exact = report(vec![writer(0, 17, Some(29))]);
        let told = verdict(&exact, None);
        assert!(
            told.starts_with("Exact") && told.ends_with("afterwards: 1."),
            "{told}"
        );
        let mut differs = report(vec![writer(3, 19, None)]);
        differs.under_way = UnderWay {
            batches: 2,
            scans: 40,
        };
        differs.unreadable = 1;
        let told = verdict(&differs, None);
        for part in [
            "nothing explains: 3; rows of scans that are stored already: 2.",
            "could not be read as batches, whose scans, if they held any, are missing: 1.",
            "2 batches with 40 scans.",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let workspace = WorkspaceId::default_workspace();
        let told = verdict(&exact, Some(&workspace));
        assert!(told.starts_with("No scan of the workspace"), "{told}");
    }
}
