//! What each command on tags asks for, and what it prints.

use serde_json::{Value, json};
use ureq::http::Method;

use super::Command;
use super::import::import;
use crate::client::Failure;
use crate::client::connection::Connection;
use crate::client::output::{Output, cell, columns};
use crate::client::transfer::Format;

pub(crate) fn run(command: &Command, api: &Connection, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create {
            destination,
            code,
            domain,
            fields,
            wait,
        } => {
            let mut body = fields.object()?;
            body.insert("destination".to_owned(), destination.as_str().into());
            for (name, text) in [("code", code), ("domain", domain)] {
                body.extend(
                    text.iter()
                        .map(|text| (name.to_owned(), text.as_str().into())),
                );
            }
            changed(
                api.create(&["tags"], &[wait.query()], &body.into())?,
                output,
            )
        }
        Command::Get { tag, version } => {
            let version = version.map(|version| version.to_string());
            let mut path = vec!["tags", &tag.code];
            path.extend(version.iter().flat_map(|version| ["versions", version]));
            output.thing(&api.get(&path, &tag.query())?)
        }
        Command::Set {
            tag,
            fields,
            change,
        } => {
            let body = Value::from(fields.object()?);
            let (path, query) = (["tags", &tag.code], change.query(tag));
            changed(
                api.send(Method::PATCH, &path, &query, &body, change.if_version)?,
                output,
            )
        }
        Command::List {
            q,
            campaign,
            label,
            status,
            pages,
        } => {
            let page = pages.read(api, &["tags"], &filter(q, campaign, label, status), output)?;
            output.list(
                &page,
                columns![
                    "code",
                    "status",
                    "version",
                    "destination",
                    "campaign",
                    "name",
                    "labels"
                ],
            )
        }
        Command::Versions { tag, pages } => {
            let page = pages.read(api, &["tags", &tag.code, "versions"], &tag.query(), output)?;
            output.list(
                &page,
                columns![
                    "version",
                    "updated_at",
                    "updated_by",
                    "status",
                    "destination",
                    "name"
                ],
            )
        }
        Command::Diff { tag, from, to } => {
            let number = |version: &Option<u64>| version.map(|version| version.to_string());
            let [domain] = tag.query();
            let query = [domain, ("from", number(from)), ("to", number(to))];
            let difference = api.get(&["tags", &tag.code, "diff"], &query)?;
            if output.json {
                return output.thing(&difference);
            }
            output.note(&format!(
                "From version {} to {}:",
                difference["from"], difference["to"]
            ));
            let changes = difference["changes"].as_array().map(Vec::as_slice);
            output.rows(
                changes.unwrap_or_default(),
                columns!["pointer", "before", "after"],
            )
        }
        Command::Rollback {
            tag,
            version,
            change,
        } => {
            let (path, query) = (["tags", &tag.code, "rollback"], change.query(tag));
            let body = json!({"version": version});
            changed(
                api.send(Method::POST, &path, &query, &body, change.if_version)?,
                output,
            )
        }
        Command::Schedule {
            tag,
            at,
            fields,
            change,
        } => {
            let (path, query) = (["tags", &tag.code, "schedule"], change.query(tag));
            let body = json!({"at": at, "set": fields.object()?});
            let answer = api.send(Method::PUT, &path, &query, &body, change.if_version)?;
            changed(answer, output)
        }
        Command::Unschedule { tag, change } => {
            let path = ["tags", &tag.code, "schedule"];
            let answer = api.delete(&path, &change.query(tag), change.if_version)?;
            let done = format!("Nothing is scheduled for tag {} any more.", tag.code);
            ended(&answer, &done, output)
        }
        Command::Revoke { tag, change, .. } => {
            let path = ["tags", &tag.code];
            let answer = api.delete(&path, &change.query(tag), change.if_version)?;
            ended(&answer, &format!("Tag {} is revoked.", tag.code), output)
        }
        Command::Simulate { tag, facts } => {
            let path = ["tags", &tag.code, "simulate"];
            let decision = api.send(Method::POST, &path, &tag.query(), &facts.body()?, None)?;
            decided(decision, output)
        }
        Command::Import {
            file,
            format,
            dry_run,
        } => import(api, file, *format, *dry_run, output),
        Command::Export {
            q,
            campaign,
            label,
            status,
            format,
            target,
        } => {
            let format = format.or(target.format()).unwrap_or(Format::Ndjson);
            let filter = filter(q, campaign, label, status);
            target.write(api.download(&["tags", "export"], &filter, format.media_type())?)
        }
    }
}

fn filter(
    q: &Option<String>,
    campaign: &Option<String>,
    label: &Option<String>,
    status: &Option<String>,
) -> [(&'static str, Option<String>); 4] {
    [
        ("q", q.clone()),
        ("campaign", campaign.clone()),
        ("label", label.clone()),
        ("status", status.clone()),
    ]
}

/// Shows a tag that was made or changed, and apart from it what edges have of it.
fn changed(mut tag: Value, output: Output) -> Result<(), Failure> {
    if output.json {
        return output.thing(&tag);
    }
    let propagation = tag
        .as_object_mut()
        .and_then(|tag| tag.remove("propagation"));
    output.thing(&tag)?;
    told(&json!({"propagation": propagation}), output);
    for warning in tag["warnings"].as_array().into_iter().flatten() {
        output.note(&format!(
            "{}: {}",
            cell(&warning["pointer"]),
            cell(&warning["detail"])
        ));
    }
    Ok(())
}

/// Says that something is no more, and what edges have of it.
fn ended(answer: &Value, done: &str, output: Output) -> Result<(), Failure> {
    if output.json && !answer.is_null() {
        return output.thing(answer);
    }
    output.note(done);
    told(answer, output);
    Ok(())
}

fn told(answer: &Value, output: Output) {
    if let Some(detail) = answer["propagation"]["detail"].as_str() {
        output.note(detail);
    }
}

fn decided(mut decision: Value, output: Output) -> Result<(), Failure> {
    if output.json {
        return output.thing(&decision);
    }
    let rules = decision
        .as_object_mut()
        .and_then(|decision| decision.remove("rules"));
    output.thing(&decision)?;
    match rules.as_ref().and_then(Value::as_array) {
        Some(rules) if !rules.is_empty() => {
            output.rows(rules, columns!["name", "matched", "failed"])
        }
        _ => Ok(()),
    }
}
