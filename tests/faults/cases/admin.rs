//! What happens to the admin: another takes over, it is killed while it writes, its index is lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::tag;
use crate::deployment::client::{Api, leads_to};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;
use crate::support::DEADLINE;

/// What is done to the index's file.
type Damage = fn(&Path) -> std::io::Result<()>;

/// Each edits a tag of its own, so that it knows what its last edit was.
const WRITERS: usize = 8;
/// How often the admin is killed.
const KILLS: usize = 6;

pub async fn row_20_a_second_admin_takes_over_while_the_first_is_written_to(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "calm").await?;
    let first = Api::of(&deployment)?;
    for writer in 0..WRITERS {
        let destination = json!({"code": code(writer), "destination": "https://example.com/0"});
        first.post("/tags", destination).await?;
    }
    let load = Steady::start(deployment.redirects(), "calm");
    let acknowledged = Arc::<AtomicU64>::default();
    let mut edits = JoinSet::new();
    for writer in 0..WRITERS {
        let (first, acknowledged) = (first.clone(), Arc::clone(&acknowledged));
        edits.spawn(async move {
            let mut made = Edits::default();
            loop {
                match made.edit(&first, writer).await? {
                    Ok(()) => {
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(refusal) if has_taken_over(&refusal) => return anyhow::Ok((writer, made)),
                    // The take-over came while it was being published: whole or absent, as the history tells below.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
    }
    until(|| acknowledged.load(Ordering::Relaxed) >= 100).await?;
    // It becomes the writer before it is ready; what the first has acknowledged by then, it has read.
    let second = deployment.second_admin().await;
    second.ready().await;
    let second_api = first.at(second.api().context("the second's address")?);
    let mut writers = Vec::new();
    while let Some(ended) = timeout(DEADLINE, edits.join_next()).await? {
        writers.push(ended??);
    }
    // For good: it neither writes again nor ends.
    for writer in 0..WRITERS {
        let (status, answer) = first
            .send(Method::DELETE, &format!("/tags/{}", code(writer)), None)
            .await?;
        ensure!(status == 503, "{status}: {answer}");
        ensure!(has_taken_over(&answer), "{answer}");
    }
    let admin = deployment
        .nodes()
        .iter()
        .find(|node| node.role() == "admin");
    let admin = admin.context("the first admin")?;
    let log = admin.log();
    ensure!(log.contains("no longer the writer of the journal"), "{log}");
    for (writer, made) in &mut writers {
        for _ in 0..10 {
            if let Err(refusal) = made.edit(&second_api, *writer).await? {
                bail!("the second refuses an edit: {refusal}");
            }
        }
    }
    for (writer, made) in &writers {
        made.are_kept(&second_api, *writer).await?;
        let last = format!("https://example.com/{}", made.number);
        leads_to(&deployment, &code(*writer), &last).await?;
    }
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "calm", &scanned.sent).await?;
    second.end().await;
    deployment.end().await;
    Ok(found)
}

pub async fn row_21_the_admin_is_killed_while_it_writes(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    let api = Api::of(&deployment)?;
    for writer in 0..WRITERS {
        let destination = json!({"code": code(writer), "destination": "https://example.com/0"});
        api.post("/tags", destination).await?;
    }
    let (acknowledged, ended) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let (api, acknowledged, ended) =
            (api.clone(), Arc::clone(&acknowledged), Arc::clone(&ended));
        writing.spawn(async move {
            let (mut made, mut created) = (Edits::default(), 0);
            while !ended.load(Ordering::Relaxed) {
                made.edit_for_certain(&api, writer).await?;
                create_for_certain(&api, &format!("{writer}-{created}")).await?;
                created += 1;
                acknowledged.fetch_add(2, Ordering::Relaxed);
            }
            anyhow::Ok((writer, made, created))
        });
    }
    for _ in 0..KILLS {
        let wanted = acknowledged.load(Ordering::Relaxed) + 40;
        until(|| acknowledged.load(Ordering::Relaxed) >= wanted).await?;
        let admin = deployment.admin_mut();
        admin.kill().await;
        admin.start().await;
    }
    deployment.admin_mut().ready().await;
    ended.store(true, Ordering::Relaxed);
    let mut names = Vec::new();
    while let Some(writer) = writing.join_next().await {
        let (writer, made, created) = writer??;
        made.are_kept(&api, writer).await?;
        let last = format!("https://example.com/{}", made.number);
        leads_to(&deployment, &code(writer), &last).await?;
        names.extend((0..created).map(|number| format!("{writer}-{number}")));
    }
    // What was asked for again after a kill, by the same Idempotency-Key, is there once.
    let mut there = Vec::new();
    for tag in all(&api, "/tags?campaign=created&limit=500").await? {
        there.push(tag["name"].as_str().context("a name")?.to_owned());
        let path = format!("/audit?code={}", tag["code"].as_str().context("a code")?);
        let entries = api.get(&path).await?;
        let count = entries["items"].as_array().map(Vec::len);
        ensure!(count == Some(1), "{tag}: {entries}");
    }
    names.sort_unstable();
    there.sort_unstable();
    ensure!(there == names, "created: {names:?}, there: {there:?}");
    deployment.end().await;
    Ok(Figures::none())
}

pub async fn row_22_the_index_is_deleted_and_damaged(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    let api = Api::of(&deployment)?;
    for number in 0..20 {
        let fields =
            json!({"code": code(number), "destination": "https://example.com/", "labels": ["a"]});
        api.post("/tags", fields).await?;
        let edit = json!({"name": format!("n{number}"), "campaign": "c"});
        api.patch(&format!("/tags/{}", code(number)), edit).await?;
    }
    let path = format!("/tags/{}/rollback", code(1));
    let rollback = Some(json!({"version": 1}));
    api.expect(Method::POST, &path, rollback, reqwest::StatusCode::OK)
        .await?;
    api.send(Method::DELETE, &format!("/tags/{}", code(2)), None)
        .await?;
    api.post("/domains", json!({"name": "qr.example.org"}))
        .await?;
    let key = api
        .post("/keys", json!({"name": "k", "role": "editor"}))
        .await?;
    let other = api.post("/workspaces", json!({"name": "Acme"})).await?;
    let theirs = api.with_key(other["key"]["secret"].as_str().context("a secret")?);
    theirs
        .post(
            "/tags",
            json!({"code": "theirs", "destination": "https://example.com/"}),
        )
        .await?;
    let gone = format!("/keys/{}", key["id"].as_str().context("an id")?);
    api.send(Method::DELETE, &gone, None).await?;
    people_and_settings(&api).await?;
    people_and_settings(&theirs).await?;

    let before = (everything(&api).await?, everything(&theirs).await?);
    let damage: [(&str, Damage); 4] = [
        ("deleted", |file| fs::remove_file(file)),
        ("garbage", |file| fs::write(file, vec![0xa5; 100_000])),
        ("truncated", |file| {
            fs::File::options().write(true).open(file)?.set_len(5_000)
        }),
        ("beside a log of another's", |file| {
            fs::write(file.with_extension("sqlite-wal"), b"not a log")
        }),
    ];
    for (what, damage) in damage {
        let admin = deployment.admin_mut();
        admin.kill().await;
        damage(&admin.data_dir().join("index.sqlite")).context(what)?;
        admin.start().await;
        admin.ready().await;
        let after = (everything(&api).await?, everything(&theirs).await?);
        ensure!(after == before, "{what}: {after:?} instead of {before:?}");
    }
    deployment.end().await;
    Ok(Figures::none())
}

/// In a workspace: a user, one who was removed, one who is invited, a domain, a key with two secrets, and defaults.
async fn people_and_settings(api: &Api) -> anyhow::Result<()> {
    let text = |made: &Value, field: &str| -> anyhow::Result<String> {
        Ok(made[field].as_str().context("a text")?.to_owned())
    };
    for email in ["ada@example.com", "bob@example.com", "eve@example.com"] {
        let invitation = json!({"email": email, "role": "editor"});
        let invitation = api.post("/invitations", invitation).await?;
        if email == "eve@example.com" {
            continue;
        }
        let token = text(&invitation, "token")?;
        let acceptance =
            json!({"token": token, "name": email, "password": "correct horse battery"});
        let user = api.post("/invitations/accept", acceptance).await?;
        let path = format!("/users/{}", text(&user, "id")?);
        if email == "bob@example.com" {
            api.send(Method::DELETE, &path, None).await?;
        }
    }
    // An owner of `default` is shown it first, since they come by id; everyone else their own alone.
    let workspace = api.get("/workspaces").await?["items"][0]["id"].clone();
    let path = format!("/workspaces/{}", workspace.as_str().context("an id")?);
    let fields =
        json!({"default_redirect_status": 307, "default_query": "drop", "retention_days": 30});
    api.patch(&path, fields).await?;
    let name = workspace.as_str().context("an id")?.replace('_', "-");
    let name = format!("{name}.example.net");
    api.post("/domains", json!({"name": name})).await?;
    let key = json!({"name": "rotated", "role": "editor", "scopes": ["tags:read"], "expires_at": "2099-01-01T00:00:00Z"});
    let key = api.post("/keys", key).await?;
    let path = format!("/keys/{}/rotate", text(&key, "id")?);
    api.expect(
        Method::POST,
        &path,
        Some(json!({})),
        reqwest::StatusCode::OK,
    )
    .await?;
    Ok(())
}

/// All that a workspace can be asked for.
async fn everything(api: &Api) -> anyhow::Result<Vec<Value>> {
    let mut everything = Vec::new();
    for path in [
        "/tags?limit=7",
        "/tags?label=a&limit=500",
        "/audit?limit=10",
        "/keys",
        "/domains",
        "/workspaces",
        "/users",
        "/invitations",
    ] {
        everything.extend(all(api, path).await?);
    }
    for tag in all(api, "/tags?limit=500").await? {
        let code = tag["code"].as_str().context("a code")?;
        everything.extend(all(api, &format!("/tags/{code}/versions")).await?);
    }
    Ok(everything)
}

/// The items of a list, page by page.
async fn all(api: &Api, path: &str) -> anyhow::Result<Vec<Value>> {
    let (mut items, mut next) = (Vec::new(), path.to_owned());
    loop {
        let page = api.get(&next).await?;
        items.extend(page["items"].as_array().context("items")?.clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            return Ok(items);
        };
        next = format!("{path}&cursor={cursor}");
    }
}

/// What one writer has done to its tag.
#[derive(Default)]
struct Edits {
    /// The last edit's.
    number: u64,
    /// Which edit was acknowledged as which version.
    acknowledged: BTreeMap<u64, u64>,
}

impl Edits {
    /// The next edit: made and acknowledged, or refused with a 503.
    async fn edit(&mut self, api: &Api, writer: usize) -> anyhow::Result<Result<(), Value>> {
        let number = self.number + 1;
        let (status, answer) = api
            .send(Method::PATCH, &path(writer), Some(edit(number)))
            .await?;
        if status == 503 {
            return Ok(Err(answer));
        }
        ensure!(status == 200, "{status}: {answer}");
        self.made(number, &answer)?;
        Ok(Ok(()))
    }

    /// The next edit, asked for until it is acknowledged; while the admin is away, nobody answers.
    async fn edit_for_certain(&mut self, api: &Api, writer: usize) -> anyhow::Result<()> {
        let number = self.number + 1;
        let path = path(writer);
        let answer = for_certain(|| api.send(Method::PATCH, &path, Some(edit(number))));
        self.made(number, &answer.await?)
    }

    fn made(&mut self, number: u64, answer: &Value) -> anyhow::Result<()> {
        let version = answer["version"].as_u64().context("a version")?;
        self.number = number;
        self.acknowledged.insert(version, number);
        Ok(())
    }

    /// Whether the history has each acknowledged edit in its place, each version whole and once, and ends with the tag as it is.
    async fn are_kept(&self, api: &Api, writer: usize) -> anyhow::Result<()> {
        let versions = all(api, &format!("{}/versions?limit=500", path(writer))).await?;
        let newest = versions.len() as u64;
        let kept: BTreeMap<u64, &Value> = (1..=newest).rev().zip(&versions).collect();
        for (number, version) in &kept {
            ensure!(version["version"] == *number, "{number} is {version}");
            let parts = (&version["name"], &version["campaign"]);
            ensure!(parts.0 == parts.1, "half an edit: {version}");
        }
        for (version, number) in &self.acknowledged {
            let wanted = format!("https://example.com/{number}");
            let found = kept.get(version).map(|version| &version["destination"]);
            ensure!(
                found == Some(&json!(wanted)),
                "{version} is {found:?}, not {wanted}"
            );
        }
        let mut tag = api.get(&path(writer)).await?;
        // Which the history does not have.
        tag.as_object_mut().context("a tag")?.remove("warnings");
        ensure!(tag == versions[0], "the newest is not the last");
        let entries = all(api, &format!("/audit?limit=500&code={}", code(writer))).await?;
        let of: Vec<_> = entries
            .iter()
            .map(|entry| entry["version"].as_u64())
            .collect();
        let wanted: Vec<_> = (1..=newest).rev().map(Some).collect();
        ensure!(of == wanted, "the audit log tells of {of:?}");
        Ok(())
    }
}

/// Makes a tag of this name, asked for with the same Idempotency-Key until it is acknowledged.
async fn create_for_certain(api: &Api, name: &str) -> anyhow::Result<()> {
    let fields =
        json!({"destination": "https://example.com/", "name": name, "campaign": "created"});
    for_certain(|| api.post_once("/tags", name, fields.clone())).await?;
    Ok(())
}

/// Asks until there is an answer that is neither a 409 of a request under way nor a 503.
async fn for_certain<F>(ask: impl Fn() -> F) -> anyhow::Result<Value>
where
    F: Future<Output = anyhow::Result<(reqwest::StatusCode, Value)>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        match ask().await {
            Ok((status, answer)) if status.is_success() => return Ok(answer),
            Ok((status, answer)) if !matches!(status.as_u16(), 409 | 503) => {
                bail!("{status}: {answer}")
            }
            Ok(_) | Err(_) => ensure!(Instant::now() < deadline, "no answer"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether an edit was refused since this admin is no longer the writer.
fn has_taken_over(refusal: &Value) -> bool {
    let detail = refusal["detail"].as_str().unwrap_or_default();
    detail.contains("Another admin has taken over")
}

async fn until(reached: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !reached() {
        ensure!(Instant::now() < deadline, "the writers have come to a stop");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn code(number: usize) -> String {
    format!("written-{number}")
}

fn path(number: usize) -> String {
    format!("/tags/{}", code(number))
}

/// Name and campaign are one: an edit that is not whole would part them.
fn edit(number: u64) -> Value {
    let name = format!("edit {number}");
    json!({"destination": format!("https://example.com/{number}"), "name": name, "campaign": name})
}
