//! The host's own credentials: the source that is set up, and a role on top, through `aws-config` and this host's own
//! HTTP client. Asked only for destinations that name it; one answer serves all sessions until it nears its end.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_runtime_api::client::http::http_client_fn;
use aws_smithy_types::error::ErrorMetadata;
use aws_types::os_shim_internal::{Env, Fs};
use tokio::sync::{Mutex, OnceCell};

use super::carry::{Connector, LastAsked};
use super::chosen::{self, Chosen};
use batch_export_sandbox::{CredentialError, CredentialProvider, Credentials, Fetching, RENEW_BEFORE_EXPIRY, Secret};
use batch_export_sandbox::{Network, NetworkError, TransportError, tidy, with_causes};
use batch_export_system::explain::{Cause, plain};
use batch_export_system::open_regular;

/// Longest time for the whole chain: instance metadata alone may take a few seconds to say no.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of what a source says about itself in an error: a sentence or two.
const SAID_BYTES: usize = 600;
/// Where requests to STS go when the destination's region is none of AWS's (`auto`).
const FALLBACK_REGION: &str = "us-east-1";
/// STS error codes that no repetition changes (AWS STS API Reference, "Common errors").
const REFUSALS: [&str; 7] = [
    "AccessDenied",
    "ExpiredToken",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "MalformedPolicyDocument",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
];
/// Texts that mean a new sign-in to SSO is required: the library's, and the portal's.
const SIGNED_OUT: [&str; 3] = [
    "the SSO token has expired",
    "the cached SSO token",
    "UnauthorizedException",
];
/// What to do where nothing gives credentials.
const KEYS: &str = "replace `credentials` by aws_access_key_id and aws_secret_access_key";
/// Words with which the library begins a reason and which tell nothing.
const LEAD_INS: [&str; 2] = [
    "ProfileFile provider could not be built: ",
    "Error retrieving credentials: ",
];
/// Where the chain looks, in its order.
const LOOKED_AT: &str = "in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), the profile files (~/.aws/config, \
     ~/.aws/credentials, with SSO and credential_process), web identity (AWS_WEB_IDENTITY_TOKEN_FILE), container \
     metadata and instance metadata";

/// How the chain is asked.
#[derive(Debug, Clone, Default)]
pub struct ChainOptions {
    /// Region for STS; the destination's.
    pub region: Option<String>,
    /// Profile in the profile files, and then the only source; else `AWS_PROFILE` or `default`, in its turn.
    pub profile: Option<String>,
    /// A config file to read instead of the usual profile files, and then the only source.
    pub profile_file: Option<PathBuf>,
    /// Base URL for STS instead of AWS's own, for private endpoints.
    pub sts_endpoint_url: Option<String>,
    /// A role to assume with what the chain finds.
    pub assume_role: Option<AssumeRole>,
}

impl ChainOptions {
    pub(super) fn names_a_profile(&self) -> bool {
        self.profile.is_some() || self.profile_file.is_some()
    }

    /// What is wrong with the variables of the environment that would be read; needs no file and no network.
    pub fn environment_fault(&self, variable: chosen::Variable<'_>) -> Option<Cause> {
        match self.names_a_profile() {
            true => None,
            false => chosen::environment(variable).err(),
        }
    }
}

/// A role to assume.
#[derive(Debug, Clone)]
pub struct AssumeRole {
    /// Its ARN.
    pub role_arn: String,
    /// What the role's trust policy asks for, if anything.
    pub external_id: Option<String>,
    /// Shows up in CloudTrail; `batch-export` unless set.
    pub session_name: Option<String>,
}

/// The host's credentials, found on first use.
pub struct Chain {
    options: ChainOptions,
    client: reqwest::Client,
    network: Network,
    source: OnceCell<Source>,
    last_asked: LastAsked,
    /// The last answer. Held locked while the source is asked, so that sessions which need credentials at the same
    /// time ask once.
    kept: Mutex<Option<Credentials>>,
}

/// The source that is set up.
struct Source {
    chosen: Chosen,
    provider: SharedCredentialsProvider,
    /// How STS is asked for a role on top.
    sts: SdkConfig,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl CredentialProvider for Chain {
    fn fetch<'a>(&'a self, instead_of: Option<&'a Credentials>) -> Fetching<'a> {
        Box::pin(self.fetch(instead_of))
    }
}

impl Chain {
    /// A chain carried with the host's network settings. A proxy carries requests to metadata services too, unless
    /// `no_proxy` lists their address (`169.254.169.254`).
    pub fn new(network: &Network, options: ChainOptions) -> Result<Self, NetworkError> {
        Ok(Chain {
            options,
            client: network.operators_client()?,
            network: network.clone(),
            source: OnceCell::new(),
            last_asked: LastAsked::default(),
            kept: Mutex::default(),
        })
    }

    pub(super) async fn fetch(&self, instead_of: Option<&Credentials>) -> Result<Credentials, CredentialError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = &*kept
            && Some(kept) != instead_of
            && kept.outlast(RENEW_BEFORE_EXPIRY)
        {
            return Ok(kept.clone());
        }
        match (self.ask_within(FETCH_TIMEOUT).await, &*kept) {
            (Ok(fresh), _) => Ok(kept.insert(fresh).clone()),
            // Credentials that still hold are better than none.
            (Err(CredentialError::Unavailable(_)), Some(kept))
                if instead_of.is_none() && kept.outlast(Duration::ZERO) =>
            {
                Ok(kept.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    pub(super) async fn ask_within(&self, longest: Duration) -> Result<Credentials, CredentialError> {
        *self.last_asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match tokio::time::timeout(longest, self.ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unavailable(format!("no answer within {} s", longest.as_secs_f64()).into())),
        }
    }

    async fn ask(&self) -> Result<Credentials, CredentialError> {
        let source = self.source.get_or_try_init(|| self.find()).await?;
        let explain = |error: CredentialsError| self.explain(source.chosen, &error);
        let found = source.provider.provide_credentials().await.map_err(explain)?;
        // Checked before a role is assumed with them: STS would only say that a signature does not match.
        let base = self.checked(source, &found)?;
        if let Some(role) = &self.options.assume_role {
            let mut builder = AssumeRoleProvider::builder(&role.role_arn)
                .session_name(role.session_name.as_deref().unwrap_or("batch-export"))
                .configure(&source.sts);
            if let Some(id) = &role.external_id {
                builder = builder.external_id(id);
            }
            let provider = builder.build_from_provider(found).await;
            let assumed = provider.provide_credentials().await.map_err(explain)?;
            return self.checked(source, &assumed);
        }
        Ok(base)
    }

    fn checked(
        &self,
        source: &Source,
        found: &aws_credential_types::Credentials,
    ) -> Result<Credentials, CredentialError> {
        Credentials::new(
            &Secret::new(found.access_key_id()),
            Secret::new(found.secret_access_key()),
            found.session_token().map(Secret::new),
            found.expiry(),
        )
        .map_err(|fault| {
            let gave = format!("of what {} gave, {fault}", source.chosen.in_words());
            self.missing(Cause::new(gave).with_hint("correct it there"))
        })
    }

    /// The source that is set up. What is set up by half is an error: the next one is another identity.
    async fn find(&self) -> Result<Source, CredentialError> {
        let options = &self.options;
        let files = match &options.profile_file {
            None => EnvConfigFiles::default(),
            Some(file) => EnvConfigFiles::builder()
                .with_file(EnvConfigFileKind::Config, file)
                .build(),
        };
        if let Some(file) = &options.profile_file
            && let Err(error) = open_regular(file)
        {
            let (file, error) = (file.display(), plain(&error.into()));
            let unreadable = Cause::new(format!("cannot read {file}, which profile_file names: {error}"));
            return Err(self.missing(unreadable.with_hint("let profile_file name a file of profiles")));
        }
        let profiles = aws_config::profile::load(&Fs::real(), &Env::real(), &files, None)
            .await
            .map_err(|error| {
                let unreadable = format!("the profile files cannot be read: {}", reason(&error));
                self.missing(Cause::new(unreadable).with_hint("correct them"))
            })?;
        let variable = |name: &str| std::env::var(name).ok();
        // The home folder is written `~` there, which is the library's to replace.
        let is_file = |path: &str| path.starts_with('~') || std::fs::metadata(path).is_ok();
        let chosen = chosen::choose(options, &variable, &profiles, &is_file).map_err(|fault| self.missing(fault))?;
        Ok(self.opened(chosen, files).await)
    }

    async fn opened(&self, chosen: Chosen, files: EnvConfigFiles) -> Source {
        let options = &self.options;
        let region = Region::new(match options.region.as_deref() {
            None | Some("auto") => FALLBACK_REGION.to_owned(),
            Some(region) => region.to_owned(),
        });
        let connector = Connector {
            client: self.client.clone(),
            network: self.network.clone(),
            last_asked: Arc::clone(&self.last_asked),
        };
        let http_client = http_client_fn(move |settings, _| connector.with(settings));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region.clone())
            .http_client(http_client.clone())
            .profile_files(files.clone())
            .no_credentials();
        if let Some(url) = &options.sts_endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = ProviderConfig::without_region()
            .with_region(Some(region))
            .with_http_client(http_client);
        let provider = match chosen {
            Chosen::Environment => SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()),
            Chosen::Profile => {
                let name = match (&options.profile, std::env::var("AWS_PROFILE")) {
                    (Some(name), _) => name.clone(),
                    (None, Ok(name)) if options.profile_file.is_none() && !name.trim().is_empty() => name,
                    (None, _) => "default".to_owned(),
                };
                loader = loader.profile_name(&name);
                SharedCredentialsProvider::new(
                    ProfileFileCredentialsProvider::builder()
                        .configure(&config)
                        .profile_files(files)
                        .profile_name(name)
                        .build(),
                )
            }
            Chosen::WebIdentity => SharedCredentialsProvider::new(
                WebIdentityTokenCredentialsProvider::builder()
                    .configure(&config)
                    .build(),
            ),
            Chosen::Container => {
                SharedCredentialsProvider::new(EcsCredentialsProvider::builder().configure(&config).build())
            }
            Chosen::Instance => {
                SharedCredentialsProvider::new(ImdsCredentialsProvider::builder().configure(&config).build())
            }
        };
        Source {
            chosen,
            provider,
            sts: loader.load().await,
        }
    }

    fn explain(&self, chosen: Chosen, error: &CredentialsError) -> CredentialError {
        let place = chosen.in_words();
        if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
            const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
            let is_disabled =
                std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|is| is.eq_ignore_ascii_case("true"));
            if let (Chosen::Instance, Ok(endpoint), false) = (chosen, std::env::var(ENDPOINT), is_disabled) {
                let silent = Cause::new(format!("{endpoint} (which {ENDPOINT} names) gave none"));
                return self.unavailable(silent.with_hint(format!("correct {ENDPOINT}, or unset it")));
            }
            return self.missing(match chosen {
                Chosen::Instance => Cause::new(format!("this machine has none{}: looked {LOOKED_AT}", empty_keys()))
                    .with_hint("make one of these available"),
                _ => Cause::new(format!("{place} gave none: {}", reason(error))).with_hint("correct that"),
            });
        }
        if let Some(transport) = innermost(error).downcast_ref::<TransportError>() {
            return self.unavailable(transport.cause().clone());
        }
        let said = format!("{}{}", reason(error), self.asked());
        // The words may be those of any layer.
        let whole = with_causes(error);
        let says = |words: &[&str]| words.iter().any(|word| whole.contains(word));
        if says(&SIGNED_OUT) {
            let refused = Cause::new(format!("the sign-in of {place} has ended: {said}"));
            return self.missing(refused.with_hint("sign in with `aws sso login`"));
        }
        if says(&REFUSALS) {
            let refused = Cause::new(format!("the credentials of {place} are refused: {said}"));
            return self.missing(refused.with_hint("correct what gives them"));
        }
        if matches!(error, CredentialsError::InvalidConfiguration(_)) {
            let wrong = Cause::new(format!("{place} cannot be used: {said}"));
            return self.missing(wrong.with_hint("correct the settings there"));
        }
        self.unavailable(said.into())
    }

    /// Action is required.
    fn missing(&self, fault: Cause) -> CredentialError {
        let (fault, hint) = fault.into_parts();
        let hint = hint.map_or(KEYS.to_owned(), |hint| format!("{hint}, or {KEYS}"));
        CredentialError::Missing(Cause::new(format!("{}{fault}", self.role())).with_hint(hint))
    }

    fn unavailable(&self, said: Cause) -> CredentialError {
        let (said, hint) = said.into_parts();
        let place = match self.source.get() {
            Some(source) => format!(" ({})", source.chosen.in_words()),
            None => String::new(),
        };
        let message = format!("{}the source does not respond for now{place}: {said}", self.role());
        let hint = hint.unwrap_or_else(|| "check that it is available".to_owned());
        CredentialError::Unavailable(Cause::new(message).with_hint(format!(
            "{hint}, or {KEYS} (credentials are looked for {LOOKED_AT}, and the first that is set up is asked)"
        )))
    }

    fn role(&self) -> String {
        match &self.options.assume_role {
            Some(role) => format!("for the role {}: ", role.role_arn),
            None => String::new(),
        }
    }

    fn asked(&self) -> String {
        let last = self.last_asked.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_deref() {
            Some(place) => format!(" (last asked: {place})"),
            None => String::new(),
        }
    }
}

/// Keys that are set to nothing look set up to the person who wrote them.
fn empty_keys() -> &'static str {
    let is_empty = |name| std::env::var(name).is_ok_and(|value: String| value.trim().is_empty());
    match is_empty("AWS_ACCESS_KEY_ID") || is_empty("AWS_SECRET_ACCESS_KEY") {
        true => " (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are empty)",
        false => "",
    }
}

/// Returns the plain reason in an error of the library: its innermost one, because the others only say that something
/// failed.
fn reason(error: &(dyn Error + 'static)) -> String {
    let innermost = innermost(error);
    let said = match innermost.downcast_ref::<ErrorMetadata>() {
        Some(answer) => {
            let parts = [answer.code(), answer.message()];
            parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        None => innermost.to_string(),
    };
    let said = LEAD_INS
        .iter()
        .find_map(|lead_in| said.strip_prefix(lead_in))
        .unwrap_or(&said);
    tidy(without_answer(said), SAID_BYTES)
}

/// Returns the innermost error; one of the host's own is explained already.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    const CAUSES_LIMIT: usize = 16;
    let mut innermost = error;
    for _ in 0..CAUSES_LIMIT {
        if innermost.is::<TransportError>() {
            break;
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => break,
        }
    }
    innermost
}

/// An error of instance metadata quotes the whole response, one of a process all that it wrote to standard error:
/// either may hold a secret.
fn without_answer(said: &str) -> &str {
    [" Response {", " Stderr: "]
        .into_iter()
        .fold(said, |said, answer| said.split(answer).next().unwrap_or(said))
}
