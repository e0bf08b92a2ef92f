//! The cases, each named after its row in docs/reliability.md.

mod admin;
mod bootstrap;
mod clickhouse;
mod clock;
mod counts;
mod crashes;
mod edges;
mod edits;
mod flood;
mod hostile;
mod input;
mod kafka;
mod room;
mod sinks;
mod tls;
mod upgrade;

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::Method;
use serde_json::json;

use crate::deployment::Deployment;
use crate::deployment::client::{Api, until_known};
use crate::figures::Figures;
use crate::ground::Ground;
use crate::support::DEADLINE;

/// Whether a case runs each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Seconds: with all other tests.
    Seconds,
    /// Longer: with `tests/run --faults`.
    Long,
}

/// A case on the ground that all share.
pub type Case = for<'a> fn(&'a mut Ground) -> Outcome<'a>;

type Outcome<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Figures>> + 'a>>;

macro_rules! cases {
    ($($takes:ident $file:ident::$name:ident),+ $(,)?) => {
        /// All cases, by name.
        pub const ALL: &[(&str, Takes, Case)] =
            &[$((stringify!($name), Takes::$takes, |ground| Box::pin($file::$name(ground)))),+];
    };
}

cases![
    Long kafka::row_01_kafka_is_killed_and_comes_back,
    Seconds kafka::row_01_kafka_hangs_and_goes_on,
    Long room::row_02_kafka_is_away_until_the_scan_log_is_full,
    Seconds crashes::row_03_edges_are_killed_in_mid_load_and_started_again,
    Long crashes::row_04_edges_are_killed_while_kafka_is_away,
    Seconds edges::row_05_edges_are_restarted_one_after_the_other,
    Seconds upgrade::row_06_the_program_is_replaced_three_times_under_load,
    Seconds upgrade::row_06_a_new_program_is_killed_before_it_is_ready,
    Seconds upgrade::row_06_the_program_before_is_killed_while_it_drains,
    Seconds bootstrap::row_07_an_edge_starts_cold_while_everything_else_is_away,
    Seconds bootstrap::row_08_a_snapshot_that_is_no_good_is_refused_with_its_reason,
    Seconds bootstrap::row_09_topics_are_made_anew_while_an_edge_is_down,
    Seconds bootstrap::row_09_an_edge_starts_on_an_emptied_journal,
    Seconds bootstrap::row_09_a_snapshot_lies_before_the_topic_s_start,
    Long room::row_10_the_scan_log_s_disk_is_full_and_has_room_again,
    Seconds room::row_11_a_record_is_torn_and_a_bit_flips_in_the_middle,
    Seconds bootstrap::row_12_poison_in_tags_leaves_the_version_before,
    Seconds sinks::row_13_records_in_scans_are_poison,
    Long sinks::row_14_the_sink_is_killed_at_each_step,
    Long clickhouse::row_15_clickhouse_is_killed_during_an_insert,
    Long clickhouse::row_16_clickhouse_is_away_at_full_load,
    Long clickhouse::row_17_clickhouse_is_slow_breaks_off_and_refuses,
    Long sinks::row_18_a_sink_is_paused_for_too_long_and_goes_on,
    Long sinks::row_19_sinks_join_and_leave_every_two_seconds,
    Seconds admin::row_20_a_second_admin_takes_over_while_the_first_is_written_to,
    Seconds admin::row_21_the_admin_is_killed_while_it_writes,
    Seconds admin::row_22_the_index_is_deleted_and_damaged,
    Seconds clock::row_23_the_clock_jumps_an_hour_forth_and_back,
    Seconds input::row_24_ten_thousand_connections_send_a_byte_a_second,
    Seconds hostile::row_25_malformed_requests_come_to_both_lanes,
    Seconds input::row_26_unknown_codes_are_guessed_by_the_thousand,
    Seconds flood::row_27_one_workspace_asks_for_ten_times_what_it_may_have,
    Seconds edges::row_28_the_geoip_file_is_replaced_truncated_and_removed,
    Seconds edges::row_28_the_geoip_file_of_three_edges_is_truncated_removed_and_replaced,
    Seconds edits::row_29_edits_come_as_fast_as_they_are_taken,
    Long edits::row_29_a_thousand_edits_a_second_with_a_million_tags,
    Seconds edges::row_30_file_descriptors_are_exhausted,
    Seconds tls::row_31_the_certificate_is_replaced_and_then_by_a_broken_one,
    Seconds crashes::row_32_a_standalone_is_killed_under_load_and_edits,
    Long clock::row_34_the_edges_clocks_are_hours_and_days_ahead,
    Seconds bootstrap::row_35_topics_are_deleted_and_made_anew,
    Seconds kafka::row_36_partitions_are_added_to_scans,
    Long crashes::row_37_a_machine_is_lost_with_what_it_had_not_sent,
    Long crashes::row_37_a_machine_crashes_and_has_its_spool_when_it_is_back,
    Seconds bootstrap::row_38_the_admin_is_killed_within_a_transaction,
    Seconds edges::row_39_there_is_no_salt_for_today,
    Seconds counts::row_40_an_edge_is_killed_while_three_count_towards_a_limit,
    Seconds counts::row_40_edges_count_on_by_themselves_while_kafka_hangs,
];

/// Makes a tag, and waits until every edge knows it.
pub async fn tag(deployment: &Deployment, code: &str) -> anyhow::Result<()> {
    let destination = format!("https://example.com/{code}");
    let tag = json!({"code": code, "destination": destination});
    Api::of(deployment)?.post("/tags", tag).await?;
    until_known(deployment, code).await
}

/// Edits a tag until an edit is answered that every edge has applied. That one can be made at all takes a moment too.
pub async fn everywhere(deployment: &Deployment, code: &str) -> anyhow::Result<()> {
    let (api, edges) = (Api::of(deployment)?, deployment.redirects().len());
    let path = format!("/tags/{code}?wait=edges&wait_timeout=60");
    let deadline = Instant::now() + DEADLINE;
    for number in 0.. {
        let edit = json!({"name": format!("edit {number}")});
        let (_, answer) = api.send(Method::PATCH, &path, Some(edit)).await?;
        let propagation = &answer["propagation"];
        if propagation["edges"] == edges && propagation["applied"] == edges {
            break;
        }
        ensure!(Instant::now() < deadline, "not everywhere: {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
