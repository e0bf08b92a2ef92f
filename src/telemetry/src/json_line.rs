//! The shape of a JSON log line.
//!
//! Written here because the ready-made format adds the source paths of the build machine to records of the `log` crate.

use std::fmt::{self, Debug};

use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Keys of the line itself: an event's field of such a name gets a trailing underscore.
const RESERVED: [&str; 4] = ["timestamp", "level", "target", "spans"];

/// Formats an event as one JSON object and a newline.
pub(crate) struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let mut fields = Fields::default();
        event.record(&mut fields);

        let mut line = Vec::with_capacity(256);
        let write = |line: &mut Vec<u8>| -> serde_json::Result<()> {
            let mut serializer = serde_json::Serializer::new(line);
            let mut object = serializer.serialize_map(None)?;
            object.serialize_entry("timestamp", &timestamp)?;
            object.serialize_entry("level", metadata.level().as_str())?;
            object.serialize_entry("target", metadata.target())?;
            for (name, value) in &fields.0 {
                object.serialize_entry(name, value)?;
            }
            let spans = spans(context);
            if !spans.is_empty() {
                object.serialize_entry("spans", &spans)?;
            }
            object.end()
        };
        write(&mut line).map_err(|_| fmt::Error)?;
        writeln!(
            writer,
            "{}",
            String::from_utf8(line).map_err(|_| fmt::Error)?
        )
    }
}

/// The spans around the event from the outermost, each with its name and fields.
fn spans<S>(context: &FmtContext<'_, S, JsonFields>) -> Vec<Value>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let around = context
        .event_scope()
        .into_iter()
        .flat_map(|scope| scope.from_root());
    around
        .map(|span| {
            let extensions = span.extensions();
            let formatted = extensions.get::<FormattedFields<JsonFields>>();
            let mut fields = formatted
                .and_then(|fields| serde_json::from_str(fields).ok())
                .unwrap_or(Value::Null);
            if !fields.is_object() {
                fields = Value::Object(serde_json::Map::new());
            }
            fields["name"] = span.name().into();
            fields
        })
        .collect()
}

/// An event's fields, the message first.
#[derive(Default)]
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        let entry = match field.name() {
            // Where a record of the `log` crate was made: its target is the line's, and paths help nobody.
            name if name.starts_with("log.") => return,
            name if RESERVED.contains(&name) => (format!("{name}_"), value.into()),
            name => (
                name.strip_prefix("r#").unwrap_or(name).to_owned(),
                value.into(),
            ),
        };
        if entry.0 == "message" {
            self.0.insert(0, entry)
        } else {
            self.0.push(entry)
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Captured {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn line(log: impl FnOnce()) -> (String, Value) {
        let lines = Captured::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
        let layer = layer.fmt_fields(JsonFields::new()).event_format(JsonLine);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = lines.text();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }

    #[test]
    fn a_line_has_time_level_target_message_and_typed_fields() {
        let error = io::Error::other("refused");
        let (text, line) = line(|| {
            tracing::warn!(target: "edge::listener", port = 8080, tls = true, share = 0.5, %error, path = "a\"b", "cannot\nlisten");
        });
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(
            timestamp.len() == "2026-11-24T12:00:00.000000Z".len() && timestamp.ends_with('Z'),
            "{timestamp}"
        );
        let rest = r#","level":"WARN","target":"edge::listener","message":"cannot\nlisten","port":8080,"tls":true,"share":0.5,"error":"refused","path":"a\"b"}"#;
        assert_eq!(text, format!("{{\"timestamp\":\"{timestamp}\"{rest}\n"));
    }

    #[test]
    fn spans_are_named_from_the_outermost_with_their_fields() {
        let (_, line) = line(|| {
            let _outer = tracing::info_span!("import", id = "i1").entered();
            let _inner = tracing::info_span!("chunk").entered();
            tracing::info!("written");
        });
        assert_eq!(
            line["spans"],
            serde_json::json!([{"name": "import", "id": "i1"}, {"name": "chunk"}])
        );
    }

    #[test]
    fn a_field_cannot_replace_a_key_of_the_line() {
        let (text, line) = line(|| tracing::info!(level = 3, target = "x", "named badly"));
        assert_eq!(
            (&line["level"], &line["level_"], &line["target_"]),
            (&"INFO".into(), &3.into(), &"x".into())
        );
        assert_eq!(text.matches("\"level\"").count(), 1);
    }
}
