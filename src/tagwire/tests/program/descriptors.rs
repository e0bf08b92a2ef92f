//! File descriptors: as many as there may be, and what happens when there are none left.

use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{DEADLINE, Process, Start, data_dir};

fn pid(process: &Process) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process.id()).unwrap())
}

fn open(process: &Process) -> u64 {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", process.id()));
    entries.unwrap().count() as u64
}

#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let data = data_dir();
    let process = Start::standalone(data.path()).run().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let fields: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_eq!(fields[3], fields[4], "{fields:?}");
}

#[tokio::test]
async fn without_descriptors_nothing_ends_and_who_waits_is_served_when_there_are_some_again() {
    let data = data_dir();
    let process = Start::standalone(data.path()).run().await;
    let few = Rlimit {
        current: Some(open(&process) + 5),
        maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(pid(&process), Resource::Nofile, few).unwrap();
    let mut clients = Vec::new();
    for _ in 0..30 {
        let mut client = TcpStream::connect(process.addresses.redirects.unwrap())
            .await
            .unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        client.write_all(request).await.unwrap();
        clients.push(client);
    }
    let deadline = Instant::now() + DEADLINE;
    while Some(open(&process)) < few.current {
        assert!(Instant::now() < deadline, "the descriptors are not used up");
        tokio::task::yield_now().await;
    }
    prlimit(pid(&process), Resource::Nofile, before).unwrap();
    for client in &mut clients {
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
