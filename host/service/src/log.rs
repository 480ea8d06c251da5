//! The service's log: events of `tracing`, one line each on standard error, as text for people or as JSON. What other
//! crates say appears from warnings on. No text in it can move a terminal or fake a line.

#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use batch_export_runner::config::LogFormat;
use batch_export_system::terminal::{harmless_json, one_line};

/// Where the targets of this program's own events begin.
const OWN: &str = "batch_export";
/// Fields that stand before the text of an event.
const DESTINATION: &str = "destination";
const MESSAGE: &str = "message";

/// The least important events that the log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Something does not work and somebody has to act.
    Error,
    /// Something does not work as it should.
    Warn,
    /// What the service does.
    #[default]
    Info,
    /// Why it does so.
    Debug,
}

impl LogLevel {
    /// Every level, by its word.
    pub const ALL: [(&'static str, LogLevel); 4] = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
    ];

    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        }
    }
}

/// Begins the log of this process, on standard error. Only the first call counts.
pub fn init(format: LogFormat, level: LogLevel) {
    let wants_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let form = match format {
        LogFormat::Json => Form::Json,
        LogFormat::Text if io::stderr().is_terminal() && wants_colours => Form::Coloured,
        LogFormat::Text => Form::Plain,
    };
    let write = |line: &str| {
        // A closed standard error is nobody listening.
        io::stderr().lock().write_all(line.as_bytes()).ok();
    };
    tracing::subscriber::set_global_default(subscriber(form, level, write)).ok();
}

fn subscriber(form: Form, level: LogLevel, write: impl Fn(&str) + Send + Sync + 'static) -> impl Subscriber {
    let others = level.filter().min(LevelFilter::WARN);
    let targets = Targets::new().with_default(others).with_target(OWN, level.filter());
    tracing_subscriber::registry().with(Lines { form, write }.with_filter(targets))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Coloured,
    Json,
}

/// Writes each event as one line.
struct Lines<W> {
    form: Form,
    write: W,
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line {
            // To the millisecond.
            time: format!("{:.3}", Timestamp::now()),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            fields,
        };
        let text = match self.form {
            Form::Json => line.json(),
            Form::Plain => line.text(false),
            Form::Coloured => line.text(true),
        };
        (self.write)(&(text + "\n"));
    }
}

/// The fields of an event, in their order.
#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn text(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(known, _)| *known == name);
        field.and_then(|(_, value)| value.as_str())
    }

    fn others(&self) -> impl Iterator<Item = &(&'static str, Value)> {
        self.0.iter().filter(|(name, _)| ![DESTINATION, MESSAGE].contains(name))
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}").into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0
            .push((field.name(), batch_export_sandbox::with_causes(value).into()));
    }
}

struct Line<'a> {
    time: String,
    level: Level,
    target: &'a str,
    fields: Fields,
}

impl Line<'_> {
    fn word(&self) -> &'static str {
        match self.level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => "debug",
        }
    }

    /// `2026-11-26T10:00:00.123Z warn archive: text run=… attempt=2`
    fn text(&self, is_coloured: bool) -> String {
        let (dim, colour, off) = match (is_coloured, self.level) {
            (false, _) => ("", "", ""),
            (true, Level::ERROR) => ("\x1b[2m", "\x1b[1;31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[2m", "\x1b[1;33m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "", "\x1b[0m"),
        };
        let mut text = format!("{dim}{}{off} {colour}{:5}{off} ", self.time, self.word());
        if !self.target.starts_with(OWN) {
            push(&mut text, format_args!("{}: ", one_line(self.target)));
        }
        if let Some(destination) = self.fields.text(DESTINATION) {
            push(&mut text, format_args!("{}: ", one_line(destination)));
        }
        text.push_str(&one_line(self.fields.text(MESSAGE).unwrap_or_default()));
        for (name, value) in self.fields.others() {
            match value {
                Value::String(value) if is_word(value) => push(&mut text, format_args!(" {name}={value}")),
                // Quoted and escaped as in JSON, so that it has one end.
                value => push(&mut text, format_args!(" {name}={}", one_line(&value.to_string()))),
            }
        }
        text
    }

    fn json(&self) -> String {
        let json = serde_json::to_string(self);
        // A map of texts and numbers can always be written.
        harmless_json(&json.unwrap_or_default()).into_owned()
    }
}

/// Whether a value needs no quotes.
fn is_word(value: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/+".contains(c);
    !value.is_empty() && value.chars().all(is_plain)
}

fn push(text: &mut String, more: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    text.write_fmt(more).ok();
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("level", self.word())?;
        map.serialize_entry("target", self.target)?;
        for name in [DESTINATION, MESSAGE] {
            if let Some(text) = self.fields.text(name) {
                map.serialize_entry(name, text)?;
            }
        }
        for (name, value) in self.fields.others() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
