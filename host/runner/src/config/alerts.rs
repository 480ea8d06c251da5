//! The `[alerts]` table: who is told what goes wrong. Never shows a webhook's path or secret.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use url::Url;

use super::section::Section;
use super::tree::PlaceIndex;
use crate::problem::Problem;
use batch_export_sandbox::Secret;
use batch_export_system::explain::Cause;

/// Who is told, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlertSettings {
    /// Where alerts are posted.
    pub webhooks: Vec<Webhook>,
    /// What is started for every alert.
    pub command: Option<AlertCommand>,
    /// By how much later than its start was due an interval is late.
    pub late_after: Duration,
    /// After how many intervals without rows in a row this is an alert; 0 is never.
    pub no_rows: u32,
}

impl Default for AlertSettings {
    fn default() -> Self {
        AlertSettings {
            webhooks: Vec::new(),
            command: None,
            late_after: Duration::from_secs(3_600),
            no_rows: 0,
        }
    }
}

/// A URL to which alerts are posted. Its `Display` is scheme, host and port: the rest of it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    url: Secret,
    origin: String,
    secret: Option<Secret>,
}

impl Webhook {
    /// Returns the webhook of a URL, signed with a secret if there is one.
    pub fn new(url: &str, secret: Option<Secret>) -> Result<Self, Cause> {
        let wrong = || Cause::new("not a webhook's URL").with_hint("write it like https://hooks.example.com/alerts");
        let parsed = Url::parse(url.trim()).map_err(|_| wrong())?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(wrong());
        }
        Ok(Webhook {
            url: Secret::new(parsed.as_str()),
            origin: parsed.origin().ascii_serialization(),
            secret,
        })
    }

    /// Returns the URL: to post to, never to print.
    pub fn url(&self) -> &Secret {
        &self.url
    }

    /// Returns what messages are signed with.
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.origin)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({self})")
    }
}

/// A program that is started for every alert. Its arguments may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertCommand {
    /// A path, or a name that is looked for in `PATH`.
    pub program: OsString,
    /// What it gets.
    pub arguments: Vec<Secret>,
}

/// What is late after less than this would be late at every start.
const MIN_LATE_AFTER: Duration = Duration::from_secs(60);
/// What may be later than a month is not waited for.
const MAX_LATE_AFTER: Duration = Duration::from_secs(30 * 86_400);

/// Reads the table, or takes the defaults if there is none.
pub(super) fn read(folder: &Path, places: &PlaceIndex, root: &mut Section<'_>) -> AlertSettings {
    let mut settings = AlertSettings::default();
    let Some(mut section) = root.section("alerts") else {
        return settings;
    };
    section.tables("webhook", |section| settings.webhooks.extend(read_webhook(section)));
    settings.command = read_command(folder, places, &mut section);
    let late_after = section.duration("late_after", MIN_LATE_AFTER..=MAX_LATE_AFTER);
    settings.late_after = late_after.unwrap_or(settings.late_after);
    settings.no_rows = section.number("no_rows", 0..=10_000).unwrap_or(settings.no_rows);
    section.finish();
    settings
}

fn read_webhook(mut section: Section<'_>) -> Option<Webhook> {
    let webhook = section.parsed("url", |url| Webhook::new(url, None));
    if webhook.is_none() {
        section.missing("url", "say where to post alerts, as in url = \"${env:WEBHOOK}\"");
    }
    let secret = section.secret("secret").map(|(_, text)| text.secret().clone());
    section.finish();
    webhook.map(|webhook| Webhook { secret, ..webhook })
}

fn read_command(folder: &Path, places: &PlaceIndex, section: &mut Section<'_>) -> Option<AlertCommand> {
    if !section.has("command") {
        return None;
    }
    let words = section.list("command", |word| Ok(Secret::new(word)));
    let Some((program, arguments)) = words.split_first() else {
        let hint = "name a program and its arguments, as in [\"/usr/local/bin/page\", \"--team\", \"data\"]";
        let cause = Cause::new("names no program").with_hint(hint);
        section.add(Problem::new("/command", cause), places);
        return None;
    };
    let program = program.expose();
    let program = match program.contains(std::path::is_separator) {
        true => folder.join(program).into_os_string(),
        false => program.into(),
    };
    Some(AlertCommand {
        program,
        arguments: arguments.to_vec(),
    })
}
