//! Commands and answers as a trace tells them.

use analytics::Run;
use sink::protocol::{Command, Event};

use crate::kafka::Drops;

pub fn command(command: &Command) -> String {
    match command {
        Command::Load { up_to } => format!("load the positions up to {up_to}"),
        Command::Seek(from) => format!("seek {from:?}"),
        Command::EndInserts => "end inserts".to_owned(),
        Command::Count(of) => format!("count {}", runs(of)),
        Command::Find(of) => format!("find {}", runs(of)),
        Command::Insert { token, only } => format!("insert {} as {token}", runs(only)),
        Command::Commit { offset, metadata } => format!("commit {offset} {metadata}"),
    }
}

pub fn answer(event: &Event<Drops>) -> String {
    match event {
        Event::Loaded(None) => "none".to_owned(),
        Event::Loaded(Some(positions)) => {
            let writers = positions.writers.iter().map(|(key, position)| {
                format!(
                    "{key} next {}, missing {:?}, dropped {}",
                    position.next, position.missing, position.dropped
                )
            });
            let writers: Vec<_> = writers.collect();
            format!("of {}: {}", positions.offset, writers.join("; "))
        }
        Event::Counted(counted) => format!("{} scans", counted.scans),
        Event::Found(found) => format!("{} scans", found.len()),
        Event::InsertsEnded | Event::Inserted | Event::Committed => "done".to_owned(),
        Event::Failed => "failed".to_owned(),
        Event::Assigned { .. } | Event::Read(_) | Event::Flush => String::new(),
    }
}

fn runs(runs: &[Run]) -> String {
    let runs = runs.iter();
    let runs: Vec<_> = runs
        .map(|run| format!("{} {}-{}", run.writer, run.first, run.last))
        .collect();
    format!("[{}]", runs.join(", "))
}
