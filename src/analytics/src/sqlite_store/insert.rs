//! How a block enters SQLite: rows, headers, dead records and positions in one transaction, so all of it or nothing.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use scans::WriterKey;

use super::rollups;
use crate::{BatchHeader, Block, DeadRecord, Hour, Positions, Row, Source};

pub(super) fn block(connection: &mut Connection, block: &Block) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let hours = rows(&transaction, &block.rows)?;
    rollups::hold_no_more(&transaction, &hours)?;
    for header in &block.headers {
        ledger(&transaction, &block.range.source, header)?;
    }
    for record in &block.dead {
        dead(&transaction, &block.range.source, record)?;
    }
    if let Some(after) = &block.positions {
        positions(&transaction, after)?;
    }
    transaction.commit()
}

/// Gives back the hours that have got rows.
fn rows(transaction: &Transaction<'_>, rows: &[Row]) -> rusqlite::Result<BTreeSet<Hour>> {
    let mut statement = transaction.prepare_cached(
        "INSERT OR IGNORE INTO scans (
            writer_id, seq, time, workspace, domain, code, campaign, tag_version, outcome, rule, destination_index, method,
            purpose, automated, ip_prefix, visitor, user_agent, accept_language, language, referrer, http_version, device, os,
            browser, bot, bot_reason, country, region, city, time_replaced)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let mut hours = BTreeSet::new();
    let mut writer: Option<(WriterKey, i64)> = None;
    for row in rows {
        let key = WriterKey {
            edge: row.id.edge.clone(),
            boot: row.id.boot,
            writer: row.id.writer,
        };
        let writer_id = match &writer {
            Some((known, id)) if *known == key => *id,
            _ => {
                let id = writer_id(transaction, &key)?;
                writer = Some((key, id));
                id
            }
        };
        let scan = &row.scan;
        let added = statement.execute(params![
            writer_id,
            row.id.seq as i64,
            scan.time.as_microsecond(),
            scan.workspace,
            scan.domain,
            scan.code,
            scan.campaign,
            scan.tag_version as i64,
            scan.outcome.as_str(),
            scan.rule,
            scan.destination_index,
            scan.method.as_str(),
            scan.purpose.as_str(),
            row.is_automated(),
            scan.ip_prefix.to_string(),
            scan.visitor.as_u64() as i64,
            scan.user_agent,
            scan.language,
            row.language,
            scan.referrer_host,
            scan.http_version.as_str(),
            row.device,
            row.os,
            row.browser,
            row.bot,
            row.bot_reason,
            row.country,
            row.region,
            row.city,
            row.time_replaced,
        ])?;
        if added > 0 {
            hours.insert(Hour::of(scan.time));
        }
    }
    Ok(hours)
}

fn ledger(
    transaction: &Transaction<'_>,
    source: &Source,
    header: &BatchHeader,
) -> rusqlite::Result<()> {
    let dropped = serde_json::to_string(&header.dropped)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            writer_id(transaction, &header.writer)?,
            header.first_seq as i64,
            header.count,
            dropped,
            source.cluster,
            source.topic,
            source.partition,
            header.offset,
            header.appended_at.as_millisecond(),
        ])?;
    Ok(())
}

fn dead(transaction: &Transaction<'_>, source: &Source, dead: &DeadRecord) -> rusqlite::Result<()> {
    let scan = dead.scan.as_ref();
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO scans_dead VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            source.cluster,
            source.topic,
            source.partition,
            dead.offset,
            scan.map_or("", |id| &*id.edge),
            scan.map_or(0, |id| id.boot as i64),
            scan.map_or(0, |id| id.writer),
            scan.map_or(0, |id| id.seq as i64),
            dead.appended_at.as_millisecond(),
            dead.reason,
            dead.bytes,
        ])?;
    Ok(())
}

/// Saves where these writers stand; of each, one earlier line is of no more use once this is committed.
pub(super) fn positions(
    transaction: &Transaction<'_>,
    positions: &Positions,
) -> rusqlite::Result<()> {
    let source = &positions.source;
    for (key, position) in &positions.writers {
        let writer_id = writer_id(transaction, key)?;
        let missing = serde_json::to_string(&position.missing)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        transaction
            .prepare_cached(
                "DELETE FROM positions WHERE cluster = ?1 AND topic = ?2 AND \"partition\" = ?3 AND writer_id = ?4
                 AND \"offset\" < (SELECT max(\"offset\") FROM positions
                                   WHERE cluster = ?1 AND topic = ?2 AND \"partition\" = ?3 AND writer_id = ?4)",
            )?
            .execute(params![source.cluster, source.topic, source.partition, writer_id])?;
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                source.cluster,
                source.topic,
                source.partition,
                writer_id,
                positions.offset,
                position.next as i64,
                missing,
                position.given_up as i64,
                position.dropped as i64,
                position.seen_ms,
            ])?;
    }
    Ok(())
}

fn writer_id(transaction: &Transaction<'_>, key: &WriterKey) -> rusqlite::Result<i64> {
    let bound = params![&*key.edge, key.boot as i64, key.writer];
    transaction
        .prepare_cached("INSERT OR IGNORE INTO writers (edge, boot, writer) VALUES (?, ?, ?)")?
        .execute(bound)?;
    transaction
        .prepare_cached("SELECT id FROM writers WHERE edge = ? AND boot = ? AND writer = ?")?
        .query_row(bound, |line| line.get(0))
}
