//! Erasing a visitor: whatever tells of them in the workspace's scans of a day. Who that is, the request says; it is in memory until it is
//! answered, and nowhere else.

use std::fmt::Write;
use std::net::IpAddr;

use analytics::{Erasure, StoreError};
use jiff::civil::Date;
use scans::VisitorKey;
use tags::{Action, Change, Permission};

use crate::api::not_answered;
use crate::auth::Principal;
use crate::body::Body;
use crate::fields::{Fields, Given};
use crate::problem::Problem;
use crate::salts::today;
use crate::service::Admin;

/// The most characters of a User-Agent: more than an edge takes of all headers.
const MAX_USER_AGENT: usize = 65_536;

/// What was erased.
pub(crate) struct Erased {
    pub(crate) day: Date,
    /// How many scans told of the visitor.
    pub(crate) scans: u64,
}

impl Admin {
    /// Erases a visitor of a day. That it was asked for is in the audit before anything is erased, without who it was about.
    pub(crate) async fn erase_visitor(
        &self,
        who: &Principal,
        body: Body,
    ) -> Result<Erased, Problem> {
        let mut fields = body.fields()?;
        let address = required(&mut fields, "address", |fields| {
            fields.parsed("address", |text| {
                let parsed = text.parse::<IpAddr>();
                parsed.map_err(|_| "must be an IPv4 or IPv6 address".to_owned())
            })
        });
        let user_agent = required(&mut fields, "user_agent", |fields| {
            fields.parsed("user_agent", user_agent)
        });
        let salt = required(&mut fields, "day", |fields| {
            fields.parsed("day", |text| {
                let day = text.parse::<Date>();
                let day = day.map_err(|_| "must be a day such as 2026-11-29".to_owned())?;
                self.salt_of(day)
            })
        });
        fields.finish(&[])?;
        let (Some(address), Some(user_agent), Some(salt)) = (address, user_agent, salt) else {
            return Err(Problem::internal(&NotRefused));
        };
        let who = who.by_now(self)?;
        who.require(Permission::ScansErase)?;
        let _place = self.place_for_erasure(&who.workspace)?;
        let key = VisitorKey::from_secret(salt.secret());
        let erasure = Erasure {
            workspace: who.workspace.clone(),
            day: salt.day(),
            visitor: key.visitor(address, user_agent.as_bytes()),
        };
        let audit = self.audit(&who, Action::Erase, format!("scans/{}", salt.day()));
        self.publish(vec![Change::Audit(audit)]).await?;
        let erased = self.store().erase(&erasure).await;
        let scans = erased.map_err(|error| match error {
            StoreError::Unfinished { .. } => Problem::unavailable(
                "The scan store is at it and will be for a while; ask again to see it done.",
            ),
            error => not_answered(&error),
        })?;
        Ok(Erased {
            day: salt.day(),
            scans,
        })
    }

    fn salt_of(&self, day: Date) -> Result<journal::Salt, String> {
        let days = self.salts().days_that_count(today(self.now()));
        let salt = self.salts().of(day).filter(|_| days.contains(&day));
        salt.ok_or_else(|| {
            let mut detail = "must be a day whose salt still tells visitors apart: ".to_owned();
            for (number, day) in days.iter().enumerate() {
                let before = if number == 0 { "" } else { " or " };
                let _ = write!(detail, "{before}{day}"); // to a text, which does not fail
            }
            if days.is_empty() {
                detail.push_str("there is none now");
            }
            detail
        })
    }
}

/// As browsers send it: it is a part of who the visitor is, so that an empty one says that there was none.
fn user_agent(text: &str) -> Result<String, String> {
    if text.chars().count() > MAX_USER_AGENT {
        return Err(format!("must have at most {MAX_USER_AGENT} characters"));
    }
    // A header has no others, and no white space around it (RFC 9110 §5.5).
    let cannot_be = |c: char| c.is_ascii_control() && c != '\t';
    if text.chars().any(cannot_be) || text.trim_matches([' ', '\t']) != text {
        return Err(
            "must be as the header has it: without control characters, and without white space around it"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn required<T>(
    fields: &mut Fields,
    name: &'static str,
    read: impl FnOnce(&mut Fields) -> Given<T>,
) -> Option<T> {
    let given = read(fields);
    if !fields.has(name) || matches!(given, Given::Null) {
        fields.refuse(name, "is required");
    }
    given.value()
}

#[derive(Debug, thiserror::Error)]
#[error("a field that is required was neither there nor refused")]
struct NotRefused;
