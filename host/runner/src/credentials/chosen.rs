//! Which of this machine's sources of credentials is set up: the first in the order of the AWS tools. One that is set
//! up by half is named rather than passed over, because the next one is somebody else's identity. Sends nothing, and
//! repeats no value of a variable that may hold a secret.

use std::path::Path;

use aws_config::profile::{Profile, ProfileSet};

use batch_export_sandbox::Secret;
use batch_export_system::explain::Cause;

use super::ChainOptions;

/// Looks a variable of the environment up.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The source that has to answer: none after it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    Environment,
    Profile,
    WebIdentity,
    Container,
    /// Nothing else is set up, and every instance may have it.
    Instance,
}

impl Chosen {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Chosen::Environment => "the environment",
            Chosen::Profile => "the profile files",
            Chosen::WebIdentity => "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
            Chosen::Container => "container metadata",
            Chosen::Instance => "instance metadata",
        }
    }
}

/// What makes a profile one that gives credentials.
const CREDENTIAL_PROPERTIES: [&str; 11] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "source_profile",
    "sso_account_id",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];
/// Variables that name another profile file.
const FILE_VARIABLES: [&str; 2] = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
/// Profiles that name one another as their source: more are a loop.
const SOURCES_LIMIT: usize = 16;

/// A variable that is set and holds more than blanks.
fn filled(variable: Variable<'_>, name: &str) -> Option<String> {
    variable(name).filter(|value| !value.trim().is_empty())
}

/// What to do about one of two variables.
const BOTH: &str = "set both, or neither";

/// Returns why a variable counts as not set.
fn absence(variable: Variable<'_>, name: &str) -> &'static str {
    match variable(name) {
        Some(_) => "is empty",
        None => "is not set",
    }
}

/// Whether the environment holds a whole set of keys; what is wrong with half a set or with one of its parts.
pub(super) fn environment(variable: Variable<'_>) -> Result<bool, Cause> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const KEY: &str = "AWS_SECRET_ACCESS_KEY";
    const TOKEN: &str = "AWS_SESSION_TOKEN";
    let id = filled(variable, ID);
    // The name without `AWS_` is read by the AWS tools as well, but means nothing by itself.
    let key = filled(variable, KEY).or_else(|| id.as_ref().and_then(|_| filled(variable, "SECRET_ACCESS_KEY")));
    let half = |present: &str, missing: &str| {
        Cause::new(format!(
            "the environment has {present}, but {missing} {}",
            absence(variable, missing)
        ))
        .with_hint(BOTH)
    };
    match (id, key) {
        (None, None) => match filled(variable, TOKEN) {
            Some(_) => Err(Cause::new(format!(
                "the environment has {TOKEN} without {ID} and {KEY}, which it belongs to"
            ))
            .with_hint("set all three, or none")),
            None => Ok(false),
        },
        (Some(_), None) => Err(half(ID, KEY)),
        (None, Some(_)) => Err(half(KEY, ID)),
        (Some(id), Some(key)) => {
            let token = filled(variable, TOKEN);
            for (name, value) in [(ID, Some(id)), (KEY, Some(key)), (TOKEN, token)] {
                if let Some(fault) = value.and_then(|value| Secret::new(value).fault_as_key()) {
                    return Err(Cause::new(format!("{name} in the environment {fault}")).with_hint("correct it"));
                }
            }
            Ok(true)
        }
    }
}

/// The first source that is set up, or what is wrong with it. `is_file` says whether a path can be read.
pub(super) fn choose(
    options: &ChainOptions,
    variable: Variable<'_>,
    profiles: &ProfileSet,
    is_file: &dyn Fn(&str) -> bool,
) -> Result<Chosen, Cause> {
    if options.names_a_profile() {
        named_profile(options, variable, profiles)?;
        return Ok(Chosen::Profile);
    }
    if environment(variable)? {
        return Ok(Chosen::Environment);
    }
    if usual_profile(variable, profiles, is_file)? {
        return Ok(Chosen::Profile);
    }
    let both = |first: &str, second: &str| match (filled(variable, first).is_some(), filled(variable, second).is_some())
    {
        (true, false) => Err(Cause::new(format!(
            "the environment has {first}, but {second} {}",
            absence(variable, second)
        ))
        .with_hint(BOTH)),
        (both, _) => Ok(both),
    };
    const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
    const ROLE: &str = "AWS_ROLE_ARN";
    if both(ROLE, TOKEN_FILE)? | both(TOKEN_FILE, ROLE)? {
        return Ok(Chosen::WebIdentity);
    }
    let container = [
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    match container.iter().any(|name| filled(variable, name).is_some()) {
        true => Ok(Chosen::Container),
        false => Ok(Chosen::Instance),
    }
}

/// The profile that the configuration names: it must be there and give credentials.
fn named_profile(options: &ChainOptions, variable: Variable<'_>, profiles: &ProfileSet) -> Result<(), Cause> {
    let name = options.profile.as_deref().unwrap_or("default");
    let files = match &options.profile_file {
        Some(path) => path.display().to_string(),
        None => files(variable),
    };
    if let Some(path) = &options.profile_file
        && profiles.get_profile(name).is_none()
        && is_bare(path, name)
    {
        return Err(Cause::new(format!("{files} has the profile `{name}` as `[{name}]`"))
            .with_hint(format!("write `[profile {name}]` in a file of this kind")));
    }
    let profile = found(profiles, name, "credentials.profile", &files)?;
    if !gives_credentials(profile) {
        return Err(
            Cause::new(format!("the profile `{name}` in {files} gives no credentials"))
                .with_hint("add keys, a role, SSO or credential_process to it"),
        );
    }
    sources_exist(profiles, profile, &files)
}

/// Whether a file has a section as only the credentials file of AWS may write it.
fn is_bare(path: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let section = format!("[{name}]");
    text.lines().any(|line| line.trim() == section)
}

/// Whether the usual profile files give credentials: those of `AWS_PROFILE`, which must be there, or of `default`.
fn usual_profile(variable: Variable<'_>, profiles: &ProfileSet, is_file: &dyn Fn(&str) -> bool) -> Result<bool, Cause> {
    for name in FILE_VARIABLES {
        if let Some(path) = filled(variable, name).filter(|path| !is_file(path)) {
            return Err(
                Cause::new(format!("{name} names the file {path}, which cannot be read"))
                    .with_hint("correct or remove it"),
            );
        }
    }
    let files = files(variable);
    let profile = match filled(variable, "AWS_PROFILE") {
        Some(name) => found(profiles, &name, "AWS_PROFILE", &files)?,
        None => match profiles.get_profile("default") {
            Some(profile) => profile,
            None => return Ok(false),
        },
    };
    if !gives_credentials(profile) {
        return Ok(false);
    }
    sources_exist(profiles, profile, &files)?;
    Ok(true)
}

fn files(variable: Variable<'_>) -> String {
    let [config, credentials] = FILE_VARIABLES;
    let path = |name, usual: &str| filled(variable, name).unwrap_or_else(|| usual.to_owned());
    format!(
        "{} and {}",
        path(config, "~/.aws/config"),
        path(credentials, "~/.aws/credentials")
    )
}

fn found<'a>(profiles: &'a ProfileSet, name: &str, named_by: &str, files: &str) -> Result<&'a Profile, Cause> {
    profiles.get_profile(name).ok_or_else(|| {
        let mut known: Vec<&str> = profiles.profiles().collect();
        known.sort_unstable();
        let others = match known.is_empty() {
            true => "; no profiles are defined there".to_owned(),
            false => format!("; available profiles: {}", known.join(", ")),
        };
        Cause::new(format!("there is no profile `{name}` ({named_by}) in {files}{others}"))
            .with_hint("correct the name or add the profile")
    })
}

fn gives_credentials(profile: &Profile) -> bool {
    CREDENTIAL_PROPERTIES
        .iter()
        .any(|property| profile.get(property).is_some())
}

/// Profiles may take their credentials from one another; the library passes over one that is not there.
fn sources_exist(profiles: &ProfileSet, profile: &Profile, files: &str) -> Result<(), Cause> {
    let mut at = profile;
    for _ in 0..SOURCES_LIMIT {
        let Some(source) = at.get("source_profile") else {
            break;
        };
        at = profiles.get_profile(source).ok_or_else(|| {
            Cause::new(format!(
                "the profile `{}` names `{source}` as its source_profile, which is not in {files}",
                at.name()
            ))
            .with_hint("correct it")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
    use aws_types::os_shim_internal::{Env, Fs};

    use super::*;

    const FILE: &str = "[default]\nregion = eu-west-1\n[profile keys]\naws_access_key_id = A\n\
         aws_secret_access_key = canary\n[profile role]\nrole_arn = r\nsource_profile = gone\n\
         [profile loop]\nrole_arn = r\nsource_profile = loop\n";

    async fn profiles() -> ProfileSet {
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, FILE)
            .build();
        aws_config::profile::load(&Fs::from_slice(&[]), &Env::from_slice(&[]), &files, None)
            .await
            .expect("profiles")
    }

    async fn chosen(options: &ChainOptions, variables: &[(&str, &str)]) -> Result<Chosen, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let chosen = choose(options, &variable, &profiles().await, &|path| path != "gone");
        chosen.map_err(|cause| cause.in_one_text())
    }

    /// Variables that are set, and what is chosen for them.
    type Case = (&'static [(&'static str, &'static str)], Result<Chosen, &'static str>);

    #[tokio::test]
    async fn the_first_source_that_is_set_up_is_chosen_and_half_a_one_is_named() {
        let cases: [Case; 21] = [
            (&[], Ok(Chosen::Instance)),
            (
                &[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "canary")],
                Ok(Chosen::Environment),
            ),
            (
                &[("AWS_ACCESS_KEY_ID", "A"), ("SECRET_ACCESS_KEY", "canary")],
                Ok(Chosen::Environment),
            ),
            (&[("SECRET_ACCESS_KEY", "canary")], Ok(Chosen::Instance)),
            (
                &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", " ")],
                Ok(Chosen::Instance),
            ),
            (
                &[("AWS_ACCESS_KEY_ID", "A")],
                Err(
                    "the environment has AWS_ACCESS_KEY_ID, but AWS_SECRET_ACCESS_KEY is not set; set both, or neither",
                ),
            ),
            (
                &[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "")],
                Err("the environment has AWS_ACCESS_KEY_ID, but AWS_SECRET_ACCESS_KEY is empty; set both, or neither"),
            ),
            (
                &[("AWS_SECRET_ACCESS_KEY", "canary")],
                Err(
                    "the environment has AWS_SECRET_ACCESS_KEY, but AWS_ACCESS_KEY_ID is not set; set both, or neither",
                ),
            ),
            (
                &[("AWS_SESSION_TOKEN", "canary")],
                Err(
                    "the environment has AWS_SESSION_TOKEN without AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which it belongs to; set all three, or none",
                ),
            ),
            (
                &[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "canary\n")],
                Err("AWS_SECRET_ACCESS_KEY in the environment ends with a line break; correct it"),
            ),
            (
                &[
                    ("AWS_ACCESS_KEY_ID", "A"),
                    ("AWS_SECRET_ACCESS_KEY", "canary"),
                    ("AWS_SESSION_TOKEN", "canary canary"),
                ],
                Err("AWS_SESSION_TOKEN in the environment has a blank in it; correct it"),
            ),
            (&[("AWS_PROFILE", "keys")], Ok(Chosen::Profile)),
            (&[("AWS_PROFILE", "loop")], Ok(Chosen::Profile)),
            (&[("AWS_PROFILE", "default")], Ok(Chosen::Instance)),
            (
                &[("AWS_PROFILE", "nope")],
                Err(
                    "there is no profile `nope` (AWS_PROFILE) in ~/.aws/config and ~/.aws/credentials; available profiles: default, keys, loop, role; correct the name or add the profile",
                ),
            ),
            (
                &[("AWS_PROFILE", "role")],
                Err(
                    "the profile `role` names `gone` as its source_profile, which is not in ~/.aws/config and ~/.aws/credentials; correct it",
                ),
            ),
            (
                &[("AWS_CONFIG_FILE", "gone")],
                Err("AWS_CONFIG_FILE names the file gone, which cannot be read; correct or remove it"),
            ),
            (
                &[("AWS_WEB_IDENTITY_TOKEN_FILE", "t"), ("AWS_ROLE_ARN", "r")],
                Ok(Chosen::WebIdentity),
            ),
            (
                &[("AWS_WEB_IDENTITY_TOKEN_FILE", "t")],
                Err(
                    "the environment has AWS_WEB_IDENTITY_TOKEN_FILE, but AWS_ROLE_ARN is not set; set both, or neither",
                ),
            ),
            (
                &[("AWS_ROLE_ARN", "r"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "")],
                Err("the environment has AWS_ROLE_ARN, but AWS_WEB_IDENTITY_TOKEN_FILE is empty; set both, or neither"),
            ),
            (
                &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")],
                Ok(Chosen::Container),
            ),
        ];
        for (variables, expect) in cases {
            let found = chosen(&ChainOptions::default(), variables).await;
            assert_eq!(found, expect.map_err(str::to_owned), "{variables:?}");
        }
    }

    #[tokio::test]
    async fn a_profile_that_the_configuration_names_is_the_only_source() {
        let keys: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "canary")];
        let named = |profile: &str| ChainOptions {
            profile: Some(profile.to_owned()),
            profile_file: Some("aws".into()),
            ..ChainOptions::default()
        };
        for (profile, expect) in [
            ("keys", Ok(Chosen::Profile)),
            (
                "default",
                Err(
                    "the profile `default` in aws gives no credentials; add keys, a role, SSO or credential_process to it",
                ),
            ),
            (
                "nope",
                Err(
                    "there is no profile `nope` (credentials.profile) in aws; available profiles: default, keys, loop, role; correct the name or add the profile",
                ),
            ),
        ] {
            let found = chosen(&named(profile), keys).await;
            assert_eq!(found, expect.map_err(str::to_owned), "{profile}");
        }
    }
}
