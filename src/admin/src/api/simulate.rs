//! `/api/v1/tags/{code}/simulate`: what a visitor would get, and what becomes of each rule. It decides as the edge does, by facts that it is
//! told.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use facts::{Agent, BotReason, Place};
use jiff::Timestamp;
use serde::Serialize;
use tags::{Browser, Device, Facts, Judged, Os, Rules, ScanNumbers, TagView, decide, judge_rules};
use utoipa::ToSchema;

use super::params::Params;
use super::segment::Segment;
use super::tags::tag_name;
use crate::auth::Principal;
use crate::body::Body;
use crate::fields::Fields;
use crate::problem::{Problem, ProblemDetails};
use crate::rules::{self, RuleJson};
use crate::service::Admin;
use crate::texts::check_text;

/// The longest header field and query that are taken, in characters: an edge takes no longer ones by default.
const MAX_TEXT: usize = 8_192;

/// A visitor's request. What is not said is unknown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Told::read` reads")]
pub(crate) struct SimulatedRequest {
    /// The `User-Agent` field.
    #[schema(max_length = 8192)]
    user_agent: Option<String>,
    /// The visitor's address: where it is, is looked up.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
    /// The `Accept-Language` field.
    #[schema(max_length = 8192, example = "de-AT,de;q=0.9")]
    language: Option<String>,
    /// When; without it, now.
    #[schema(format = DateTime)]
    time: Option<String>,
    /// The query, as in a URL.
    #[schema(max_length = 8192, example = "ref=tv")]
    query: Option<String>,
    /// Which scan of the tag it is. Without one, no limit and no rule about it is reached.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    scan_number: Option<u64>,
    /// Rules that stand for the tag's own, as when a tag is made.
    #[schema(max_items = 32)]
    rules: Option<Vec<RuleJson>>,
}

/// What the request would get.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulatedDecision {
    /// How it would end: `redirected`, `fallback`, `paused`, `scheduled`, `expired`, `limited` or `revoked`.
    outcome: &'static str,
    /// Where it would lead.
    location: Option<String>,
    /// The name of the rule that decides; null: none does.
    rule: Option<String>,
    /// Why the visitor is a bot: `network:` and the name of the operator whose crawlers have the address, or `user_agent`; null: it is none,
    /// or nothing is known.
    #[schema(example = "user_agent")]
    bot_reason: Option<String>,
    /// What becomes of every rule, also of those behind the one that decides.
    rules: Vec<JudgedRule>,
}

/// What becomes of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JudgedRule {
    /// Which.
    name: String,
    /// Whether it holds.
    matched: bool,
    /// The first condition that does not hold; null: the rule holds.
    failed: Option<&'static str>,
}

impl From<Judged<'_>> for JudgedRule {
    fn from(judged: Judged<'_>) -> Self {
        Self {
            name: judged.name.to_owned(),
            matched: judged.failed.is_none(),
            failed: judged.failed.map(|condition| condition.as_str()),
        }
    }
}

/// Decides for a visitor who is described; nothing is recorded.
#[utoipa::path(
    post, path = "/api/v1/tags/{code}/simulate", tag = "tags", request_body = SimulatedRequest,
    params(("code" = String, Path), ("domain" = Option<String>, Query, description = "For another than the default")),
    responses(
        (status = 200, description = "The decision", body = SimulatedDecision),
        (status = 404, description = "There is no such tag, or not in this workspace", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn simulate(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
    body: Body,
) -> Result<Json<SimulatedDecision>, Problem> {
    let tag = admin.find_tag(&who, &tag_name(&code, params)?)?;
    let mut fields = body.fields()?;
    let (told, now, draft) = Told::read(&mut fields, &admin);
    fields.finish(&[])?;
    // What is scheduled has taken place by then, or not.
    let mut tag = tag.into_current(now);
    tag.rules = draft.unwrap_or(tag.rules);
    // Reading a User-Agent for the first time takes a moment.
    let tenant = admin.tenant(&who);
    let decided = super::blocking(move || {
        let workspace = tenant.workspace()?;
        let fallback = workspace.and_then(|workspace| workspace.fallback_url);
        let facts = told.facts(&admin);
        let view = tag.view();
        let decision = decide(
            &view,
            || fallback.as_ref().map(|url| url.as_str()),
            &facts,
            now,
        );
        Ok::<_, Problem>(SimulatedDecision {
            outcome: decision.outcome.as_str(),
            location: decision.location.map(|location| location.into_owned()),
            rule: (!decision.rule.is_empty()).then(|| decision.rule.to_owned()),
            bot_reason: facts.bot_reason().map(|reason| reason.to_string()),
            rules: judge_rules(&view, &facts, now)
                .into_iter()
                .map(JudgedRule::from)
                .collect(),
        })
    });
    Ok(Json(decided.await?))
}

/// What a request says of a visitor.
#[derive(Default)]
struct Told {
    user_agent: String,
    address: Option<IpAddr>,
    language: String,
    query: String,
    scan_number: Option<u64>,
}

impl Told {
    fn read(fields: &mut Fields, admin: &Admin) -> (Self, Timestamp, Option<Rules>) {
        let text = |text: &str| check_text(text, MAX_TEXT).map(|()| text.to_owned());
        let address = |text: &str| {
            let address = text.parse::<IpAddr>();
            address.map_err(|_| "must be an IPv4 or IPv6 address, such as 203.0.113.7".to_owned())
        };
        let user_agent = fields.parsed("user_agent", text).value();
        let address = fields.parsed("address", address).value();
        let language = fields.parsed("language", text).value();
        let now = fields.time("time").value().unwrap_or_else(|| admin.now());
        let query = fields.parsed("query", text).value().unwrap_or_default();
        let scan_number = fields.integer("scan_number", 1, ScanNumbers::MAX).value();
        let policy = admin.destination_policy();
        let draft = fields
            .value("rules", |value| rules::read(value, &policy))
            .value();
        let told = Self {
            // An edge has it without the white space around it (RFC 9110 §5.5), and counts shares by it.
            user_agent: user_agent.unwrap_or_default().trim_ascii().to_owned(),
            address,
            language: language.unwrap_or_default(),
            query: query.strip_prefix('?').unwrap_or(&query).to_owned(),
            scan_number,
        };
        (told, now, draft)
    }

    /// What that means.
    fn facts(&self, admin: &Admin) -> Meant<'_> {
        let options = admin.options();
        let agents = (!self.user_agent.is_empty())
            .then(|| options.agents.get())
            .flatten();
        let places = options.places.places();
        let place = self
            .address
            .map(|address| places.lookup(address))
            .unwrap_or_default();
        let Place {
            country, region, ..
        } = place;
        Meant {
            told: self,
            agent: agents.map(|agents| agents.classify(&self.user_agent)),
            operator: self
                .address
                .and_then(|address| options.crawlers.operator(address)),
            country: country.map(|country| country.to_string()),
            region: region.map(|region| region.to_string()),
        }
    }
}

/// The facts of a simulated request.
struct Meant<'t> {
    told: &'t Told,
    agent: Option<Agent>,
    /// Whose crawlers have the address.
    operator: Option<Arc<str>>,
    country: Option<String>,
    region: Option<String>,
}

impl Meant<'_> {
    fn bot_reason(&self) -> Option<BotReason<'_>> {
        let operator = self.operator.as_deref().unwrap_or_default();
        BotReason::of(operator, self.agent.is_some_and(|agent| agent.bot))
    }
}

impl Facts for Meant<'_> {
    fn query(&self) -> &str {
        &self.told.query
    }

    fn country(&self) -> Option<&str> {
        self.country.as_deref()
    }

    fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    fn device(&self) -> Option<Device> {
        self.agent?.device
    }

    fn os(&self) -> Option<Os> {
        self.agent?.os
    }

    fn browser(&self) -> Option<Browser> {
        self.agent?.browser
    }

    fn bot(&self) -> Option<bool> {
        let is_bot = self.bot_reason().is_some();
        (is_bot || self.agent.is_some()).then_some(is_bot)
    }

    fn languages(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.told.language.as_bytes())
    }

    fn address(&self) -> Option<IpAddr> {
        self.told.address
    }

    fn user_agent(&self) -> &[u8] {
        self.told.user_agent.as_bytes()
    }

    fn scan_number(&self, _: &TagView<'_>) -> Option<u64> {
        self.told.scan_number
    }
}
