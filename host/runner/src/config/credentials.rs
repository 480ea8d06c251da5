//! How a destination signs: with keys of its own, or with this machine's credentials where it asks for them by name.
//! One of the two must be there and both must not. Repeats nothing of a key.

use std::ops::RangeInclusive;
use std::path::Path;

use super::section::Section;
use crate::credentials::{AssumeRole, ChainOptions, CredentialSettings};
use crate::problem::Place;
use batch_export_sandbox::{Credentials, Secret};
use batch_export_system::explain::Cause;

/// The keys that the host signs with: no plugin ever gets them, whatever its schema says.
const ID: &str = "aws_access_key_id";
const KEY: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";

/// The two ways to sign, as a hint.
const WAYS: &str = "give aws_access_key_id and aws_secret_access_key, such as \"${env:NAME}\", or write \
     credentials = { source = \"host\" } to sign with this machine's own credentials (environment, profile, role, \
     metadata)";

/// Reads the fields and the table of one destination. `None` leaves at least one problem behind.
pub(super) fn read(folder: &Path, destination: &mut Section<'_>) -> Option<CredentialSettings> {
    let keys_at = [ID, KEY, TOKEN].into_iter().find_map(|key| destination.place(key));
    let table_at = destination.place("credentials");
    let keys = keys_at.and_then(|_| read_keys(destination));
    let host = read_host(folder, destination);
    match (keys_at, table_at) {
        (Some(_), Some(at)) => {
            destination.problem(
                at,
                "credentials",
                Cause::new("set together with keys (aws_…), but only one of the two can be used for signing")
                    .with_hint("remove the other"),
            );
            None
        }
        (Some(_), None) => keys.map(CredentialSettings::Keys),
        (None, Some(_)) => host.map(CredentialSettings::Host),
        (None, None) => {
            let nearly = [ID, KEY].into_iter().find_map(|key| destination.nearly(key));
            let meant = nearly.map_or_else(String::new, |written| format!("correct `{written}`, or "));
            destination.missing("credentials", &format!("{meant}{WAYS}"));
            None
        }
    }
}

fn read_keys(destination: &mut Section<'_>) -> Option<Credentials> {
    let places = [ID, KEY, TOKEN].map(|key| destination.place(key));
    let [id, key, token] = [ID, KEY, TOKEN].map(|name| read_key(name, destination));
    match places {
        [None, None, Some(at)] => destination.problem(
            at,
            TOKEN,
            Cause::new("set without aws_access_key_id and aws_secret_access_key, which it belongs to")
                .with_hint("set all three, or none"),
        ),
        [Some(at), None, _] => half(at, ID, KEY, destination),
        [None, Some(at), _] => half(at, KEY, ID, destination),
        _ => {}
    }
    // A token that is there and wrong must not be passed over either: the keys alone are another identity.
    if places[2].is_some() && token.is_none() {
        return None;
    }
    Credentials::new(&id?, key?, token, None).ok()
}

fn read_key(name: &'static str, destination: &mut Section<'_>) -> Option<Secret> {
    let (at, text) = destination.secret(name)?;
    match text.secret().fault_as_key() {
        None => Some(text.secret().clone()),
        Some(fault) => {
            destination.problem(at, name, Cause::new(fault).with_hint("correct it where it comes from"));
            None
        }
    }
}

fn half(at: Place, present: &str, missing: &'static str, destination: &mut Section<'_>) {
    let hint = match destination.nearly(missing) {
        Some(written) => format!("did you mean `{missing}` by `{written}`?"),
        None => "set both, or neither".to_owned(),
    };
    let cause = Cause::new(format!("missing, although {present} is set")).with_hint(hint);
    destination.problem(at, missing, cause);
}

#[derive(Clone, Copy)]
enum Source {
    /// Whatever this machine has.
    Host,
}

fn read_host(folder: &Path, destination: &mut Section<'_>) -> Option<ChainOptions> {
    let mut section = destination.section("credentials")?;
    let source = section.choice("source", &[("host", Source::Host)]);
    if source.is_none() {
        section.missing(
            "source",
            "write source = \"host\" to sign with this machine's own credentials",
        );
    }
    let places = ["external_id", "session_name", "sts_endpoint_url"].map(|key| (key, section.place(key)));
    let is_role_given = section.has("role_arn");
    let role_arn = section.parsed("role_arn", role_arn);
    let mut text = |key| section.text(key).map(|(_, value)| value);
    let profile = text("profile");
    let profile_file = text("profile_file").map(|path| folder.join(path));
    let external_id = text("external_id");
    let session_name = text("session_name");
    let sts_endpoint_url = section.parsed("sts_endpoint_url", sts_endpoint);
    if !is_role_given {
        for (key, at) in places {
            if let Some(at) = at {
                let cause = Cause::new("has no effect without role_arn").with_hint("set role_arn, or remove it");
                section.problem(at, key, cause);
            }
        }
    }
    section.finish();
    source.map(|Source::Host| ChainOptions {
        // The destination's region is one of the plugin's fields: whoever opens the chain adds it.
        region: None,
        profile,
        profile_file,
        sts_endpoint_url,
        assume_role: role_arn.map(|role_arn| AssumeRole {
            role_arn,
            external_id,
            session_name,
        }),
    })
}

/// What STS takes as the ARN of a role. Only the form is looked at: roles of other stores have no account, or one that
/// is no number. <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
const ROLE_ARN_BYTES: RangeInclusive<usize> = 20..=2048;

fn role_arn(text: &str) -> Result<String, Cause> {
    match text.starts_with("arn:") && ROLE_ARN_BYTES.contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(Cause::new(format!("`{text}` is not the ARN of a role"))
            .with_hint("write it like arn:aws:iam::111122223333:role/exports")),
    }
}

/// A URL may hold a password where it should not, so no message repeats it.
fn sts_endpoint(text: &str) -> Result<String, Cause> {
    match url::Url::parse(text) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none() =>
        {
            Ok(text.to_owned())
        }
        _ => {
            Err(Cause::new("not a valid server address")
                .with_hint("write it like https://sts.eu-central-1.amazonaws.com"))
        }
    }
}
