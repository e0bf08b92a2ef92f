//! Reads one answer of a server and says whether it is the right one: a 302 to the code's destination.

use anyhow::{Context, bail, ensure};

use crate::scan;

/// A whole answer at the beginning of `received`, checked: how many bytes it takes, or none while it is not all there.
pub(crate) fn check(received: &[u8], number: u64) -> anyhow::Result<Option<usize>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = answer
        .parse(received)
        .context("an answer that is not HTTP")?
    else {
        return Ok(None);
    };
    let field = |name: &str| {
        answer
            .headers
            .iter()
            .find(|f| f.name.eq_ignore_ascii_case(name))
            .map(|f| f.value)
    };
    ensure!(
        answer.code == Some(302),
        "status {:?} for {}",
        answer.code,
        scan::code(number)
    );
    let location = field("location").unwrap_or_default();
    let wanted = scan::destination(number);
    ensure!(
        location == wanted.as_bytes(),
        "{} leads to {:?}",
        scan::code(number),
        String::from_utf8_lossy(location)
    );
    let Some(length) = field("content-length") else {
        bail!("an answer without Content-Length")
    };
    let length: usize = std::str::from_utf8(length)?
        .trim()
        .parse()
        .context("Content-Length")?;
    Ok((received.len() >= head + length).then_some(head + length))
}
