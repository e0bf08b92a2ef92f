//! Requests that are none, and those that smuggle others: to real processes on both lanes, under load, with a real web server behind
//! the domain.

#[path = "../../../src/edge/tests/redirects/corpus/cases.rs"]
mod cases;
#[path = "../../../src/edge/tests/redirects/corpus/smuggling.rs"]
mod smuggling;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cases::{After, CORPUS, CUT_SHORT, oversized};
use serde_json::json;
use smuggling::{CUT_SHORT_CONTENT, SMUGGLING};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tag;
use crate::deployment::client::Api;
use crate::deployment::{Deployment, Plan, Shape};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;
use crate::support::DEADLINE;

/// The host that the cases name.
const HOST: &str = "qr.example.com";

pub async fn row_25_malformed_requests_come_to_both_lanes(
    _: &mut Ground,
) -> anyhow::Result<Figures> {
    let site = Site::start().await?;
    let mut plan = Plan::given(Shape::Standalone)?;
    let networks = ("TAGWIRE_UPSTREAM__NETWORKS", "127.0.0.0/8".to_owned());
    plan.edge_environment.push(networks);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "calm").await?;
    let api = Api::of(&deployment)?;
    api.post("/domains", json!({"name": HOST})).await?;
    let upstream = json!({"upstream_url": site.url()});
    api.patch(&format!("/domains/{HOST}"), upstream).await?;
    let abc = json!({"code": "abc", "domain": HOST, "destination": "https://example.com/abc"});
    api.post("/tags", abc).await?;

    let edge = deployment.redirects()[0];
    let load = Steady::start(&[edge], "calm");
    load.goes_on(500).await?;
    let mut seen = Seen::default();
    for (rule, bytes, statuses, after) in CORPUS.iter().flat_map(|(_, cases)| *cases) {
        // The one lane answers for the tag; the other has every other path.
        let at_the_site = replaced(bytes, b"/abc", b"/xyz");
        for bytes in [bytes, &*at_the_site] {
            let case = format!("{rule}: {}", String::from_utf8_lossy(bytes).escape_debug());
            seen.case(edge, bytes, statuses, *after)
                .await
                .context(case)?;
        }
    }
    for (rule, bytes, statuses, after, _) in SMUGGLING {
        seen.case(edge, bytes, statuses, *after)
            .await
            .context(*rule)?;
    }
    for (rule, bytes, status) in oversized() {
        let answers = exchange(edge, &bytes, false).await?;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        ensure!(statuses == [status], "{rule}: {statuses:?}");
    }
    for (rule, bytes) in CUT_SHORT.iter().chain(CUT_SHORT_CONTENT) {
        let answers = exchange(edge, bytes, true).await?;
        ensure!(answers.is_empty(), "{rule}: {} answers", answers.len());
    }
    site.has_had_exactly(&seen.of_site).await?;
    println!(
        "{} cases; {} requests at the site",
        seen.cases,
        seen.of_site.len()
    );
    load.goes_on(500).await?;
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "calm", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = bytes[at..]
        .windows(from.len())
        .position(|part| part == from)
    {
        at += found + from.len();
        bytes[at - from.len()..at].copy_from_slice(to);
    }
    bytes
}

/// What has come of the cases so far.
#[derive(Default)]
struct Seen {
    cases: usize,
    /// The site's own numbers of the requests that it has answered.
    of_site: BTreeSet<String>,
}

/// What says that a request is none, or none that anybody serves; and is followed by the connection's end.
const REFUSALS: [u16; 5] = [400, 413, 414, 431, 505];

/// What is a path here and none at nginx: an escape that is none, and a way above its root.
const THE_SITES_OWN: [&[u8]; 2] = [b"%zz", b"/../../"];

impl Seen {
    async fn case(
        &mut self,
        edge: SocketAddr,
        bytes: &[u8],
        statuses: &[u16],
        after: After,
    ) -> anyhow::Result<()> {
        self.cases += 1;
        let answers = exchange(edge, bytes, false).await?;
        let refusal = statuses.iter().find(|status| REFUSALS.contains(status));
        if let Some(refusal) = refusal {
            let last = answers.last().context("no answer")?;
            ensure!(
                last.status == *refusal,
                "{} instead of {refusal}",
                last.status
            );
            ensure!(!last.of_site, "it has reached the site");
            ensure!(
                after == After::Closed && last.closes,
                "the connection stays"
            );
        }
        let own = answers.iter().filter(|answer| !answer.of_site);
        let refused = own.filter(|answer| REFUSALS.contains(&answer.status));
        ensure!(
            refused.count() == usize::from(refusal.is_some()),
            "{answers:?}"
        );
        ensure!(answers.len() >= statuses.len(), "{answers:?}");
        let of_site = answers.iter().filter(|answer| answer.of_site);
        let theirs = of_site.filter(|answer| answer.site.is_none()).count();
        let refuses = |part: &&[u8]| bytes.windows(part.len()).any(|window| window == *part);
        let expected = usize::from(THE_SITES_OWN.iter().any(refuses));
        ensure!(theirs == expected, "the site refuses it: {answers:?}");
        for number in answers.into_iter().filter_map(|answer| answer.site) {
            ensure!(self.of_site.insert(number), "one request has two answers");
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Answered {
    status: u16,
    closes: bool,
    /// Whether it is the site's.
    of_site: bool,
    /// The number that it has there, if the site has taken it for a request.
    site: Option<String>,
}

/// Sends bytes, asks to close by a last request (or says by a FIN that nothing more comes), and reads all answers but that one's.
async fn exchange(edge: SocketAddr, bytes: &[u8], ends: bool) -> anyhow::Result<Vec<Answered>> {
    const LAST: &[u8] =
        b"GET /healthz HTTP/1.1\r\nHost: qr.example.com\r\nConnection: close\r\n\r\n";
    let (mut reading, mut writing) = TcpStream::connect(edge).await?.into_split();
    let sent = [bytes, if ends { b"" } else { LAST }].concat();
    let send = async move {
        // The edge need not read all of what it refuses.
        let _ = writing.write_all(&sent).await;
        if ends {
            let _ = writing.shutdown().await;
        }
        writing
    };
    let mut received = Vec::new();
    let receive = reading.read_to_end(&mut received);
    let (_open, read) = timeout(DEADLINE, async { tokio::join!(send, receive) })
        .await
        .context("the connection is not closed")?;
    read.context("the connection was reset")?;
    let mut answers = answers(&received, bytes.starts_with(b"HEAD"))?;
    answers.pop_if(|last| last.status == 200 && !last.of_site && last.closes);
    Ok(answers)
}

/// All answers; the first may be to a HEAD.
fn answers(mut bytes: &[u8], mut to_head: bool) -> anyhow::Result<Vec<Answered>> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.context("an answer was broken off")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (field, value) = line.split_once(": ")?;
                field.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        let length: usize = field("Content-Length").map_or(Ok(0), |length| length.parse())?;
        let length = if to_head { 0 } else { length };
        let closes = field("Connection").is_some_and(|value| value == "close");
        let (site, of_site) = (field("X-Site"), field("Server").is_some());
        to_head = false;
        if status >= 200 {
            answers.push(Answered {
                status,
                closes,
                of_site,
                site,
            });
        }
        bytes = bytes
            .get(end + length..)
            .context("content was broken off")?;
    }
    Ok(answers)
}

/// Not the edge's, whose host is a domain too, to which no site may lead.
const ADDRESS: &str = "127.0.0.2";

/// nginx, which reads requests whole before it hands them on to another part of itself, where they are noted.
struct Site {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Site {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let free = || anyhow::Ok(TcpListener::bind((ADDRESS, 0))?.local_addr()?.port());
        let (port, behind) = (free()?, free()?);
        let path = folder.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\n\
             events {{}}\n\
             http {{\n\
               client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;\n\
               uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
               log_format whole '$http_x_number $request'; access_log off;\n\
               server {{\n\
                 listen {ADDRESS}:{port}; client_max_body_size 0;\n\
                 location / {{\n\
                   proxy_pass http://{ADDRESS}:{behind}; proxy_set_header X-Number $request_id; add_header X-Site $request_id always;\n\
                 }}\n\
               }}\n\
               server {{ listen {ADDRESS}:{behind}; access_log {path}/whole.log whole; location / {{ return 200 ok; }} }}\n\
             }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration)?;
        let process = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting nginx (tests/stack/packages installs it)")?;
        let site = Self {
            folder,
            port,
            process,
        };
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect((ADDRESS, port)).await.is_err() {
            ensure!(Instant::now() < deadline, "nginx does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(site)
    }

    fn url(&self) -> String {
        format!("http://{ADDRESS}:{}", self.port)
    }

    /// Waits until it has noted these requests, of which each has been answered to a client; there are no others.
    async fn has_had_exactly(&self, answered: &BTreeSet<String>) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let log = fs::read_to_string(self.folder.path().join("whole.log"))?;
            let number = |line: &str| line.split(' ').next().map(str::to_owned);
            let noted: Vec<String> = log.lines().filter_map(number).collect();
            let known: BTreeSet<String> = noted.iter().cloned().collect();
            ensure!(known.len() == noted.len(), "a request came twice:\n{log}");
            let strange: Vec<&String> = known.difference(answered).collect();
            ensure!(strange.is_empty(), "nobody asked for {strange:?}:\n{log}");
            if known == *answered {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{} of {} are noted",
                known.len(),
                answered.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself
        let _ = self.process.wait();
    }
}
