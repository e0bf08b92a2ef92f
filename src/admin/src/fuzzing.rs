//! What a fuzzer needs of what is private here: a body in which a tag has rules. Nothing that serves uses it.

use blocklist::Blocklists;
use serde_json::Value;
use tags::Rules;

use crate::destinations::DestinationPolicy;
use crate::fields::Fields;
use crate::rules::{self, RuleJson};

/// Reads a body whose one field is `rules`, where `go.example` is Tagwire's own: the rules, and how they are answered. None: it is refused.
pub fn read_rules(body: &[u8]) -> Option<(Rules, Value)> {
    let mut fields = Fields::parse(body).ok()?;
    let no_lists = Blocklists::default();
    let policy = DestinationPolicy::new(|host| host == "go.example", &no_lists);
    let rules = fields.value("rules", |value| rules::read(value, &policy));
    fields.finish(&[]).ok()?;
    let rules = rules.value()?;
    let shown: Vec<RuleJson> = rules.list().iter().map(RuleJson::from).collect();
    Some((rules, serde_json::to_value(shown).ok()?))
}
