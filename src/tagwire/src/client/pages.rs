//! Lists that come in pages: as many items as were asked for, put together.

use clap::Args;
use serde_json::{Map, Value};

use super::Failure;
use super::connection::{Connection, Query};
use super::output::Output;

/// The largest page.
const PAGE: u32 = 500;

/// How many items are wanted.
#[derive(Debug, Args)]
pub(crate) struct Pages {
    /// How many to list at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "all")]
    limit: u32,
    /// List all there are
    #[arg(long)]
    all: bool,
}

impl Pages {
    /// The items, as one page; it has a `next_cursor` when there are more.
    pub(super) fn read(
        &self,
        api: &Connection,
        path: &[&str],
        query: &Query<'_>,
        output: Output,
    ) -> Result<Value, Failure> {
        let (mut items, mut cursor) = (Vec::new(), None);
        let mut wanted = if self.all { u32::MAX } else { self.limit };
        loop {
            let mut query = query.to_vec();
            query.push(("limit", Some(wanted.min(PAGE).to_string())));
            query.push(("cursor", cursor.take()));
            let mut page = api.get(path, &query)?;
            let Value::Array(more) = page["items"].take() else {
                return Err(Failure::new("the answer has no items"));
            };
            wanted = wanted.saturating_sub(u32::try_from(more.len()).unwrap_or(u32::MAX));
            items.extend(more);
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || wanted == 0 {
                break;
            }
        }
        if cursor.is_some() {
            output.note(&format!(
                "The first {} are listed; --limit or --all lists more.",
                items.len()
            ));
        }
        let cursor = cursor.map_or(Value::Null, Value::from);
        let answer = [("items", items.into()), ("next_cursor", cursor)];
        let answer: Map<_, _> = answer
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Ok(answer.into())
    }
}
