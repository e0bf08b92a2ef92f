//! The cases, each a sentence about what users rely on.

mod changes;
mod document;
mod edges;
mod endings;
mod import;
mod ledger;
mod privacy;
mod rules;
mod scans;
mod tags;
mod visitors;

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::deployment::Deployment;
use crate::deployment::client::Api;
use crate::support::DEADLINE;

/// A case on a running deployment.
pub type Case = for<'a> fn(&'a mut Deployment) -> Outcome<'a>;

type Outcome<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

macro_rules! cases {
    ($($file:ident::$name:ident),+ $(,)?) => {
        /// All cases, by name.
        pub const ALL: &[(&str, Case)] = &[$((stringify!($name), |deployment| Box::pin($file::$name(deployment)))),+];
    };
}

cases![
    tags::a_tag_redirects_at_once_and_its_scan_is_counted_with_device_and_country,
    tags::a_tags_symbols_decode_to_its_short_url,
    tags::an_edit_shows_in_the_next_redirect_and_can_be_rolled_back,
    tags::a_tag_that_does_not_redirect_says_so,
    tags::two_tenants_cannot_see_each_other,
    changes::a_scheduled_change_takes_place_on_every_edge_without_the_admin,
    changes::a_tag_that_moves_to_another_campaign_leaves_its_scans_with_the_one_before,
    import::imported_tags_redirect_on_every_edge_and_are_exported_as_they_came,
    edges::an_edit_that_waits_for_edges_shows_in_the_very_next_redirect_of_each,
    edges::an_edge_that_ends_is_waited_for_no_longer,
    rules::rules_lead_by_device_place_and_language_and_are_counted_by_name,
    scans::bots_and_head_and_prefetches_are_counted_only_when_asked_for,
    scans::every_scan_that_k6_sends_is_one_row,
    endings::answered_scans_and_acknowledged_tags_survive_kill_9_under_load,
    endings::scans_survive_kill_9_of_the_sink,
    endings::sigterm_under_load_fails_no_scan_and_loses_none,
    visitors::a_visitor_of_every_edge_counts_once_a_day_until_erased,
    privacy::no_full_address_of_a_scanner_is_kept_and_no_salt_but_in_its_place,
    ledger::all_that_was_accepted_until_now_is_stored_once,
    // Last, as it sets whatever can be set.
    document::whatever_is_sent_the_answer_is_one_that_the_document_has,
];

/// Waits until the API counts so many scans, and fails if it counts more.
async fn counted(api: &Api, query: &str, wanted: usize) -> anyhow::Result<Value> {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let report = api.get(&format!("/analytics/scans?{query}")).await?;
        let total = report["total"].as_u64().context("a total")?;
        ensure!(
            total <= wanted as u64,
            "{query}: {total} instead of {wanted}"
        );
        if total == wanted as u64 {
            return Ok(report);
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{query}: still {total} instead of {wanted}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
