//! The credential chain of `aws-config`, carried by this host's own HTTP client and TLS. Caches nothing: the signer
//! decides when to ask again.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use tokio::sync::OnceCell;

use super::{CredentialError, Credentials, Secret};
use crate::capability::network::{Network, NetworkError, with_causes};

/// Longest time for the whole chain: instance metadata alone may take a few seconds to say no.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for an answer to one request, where the chain itself sets none: three attempts fit into the whole.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that a credential source may give; real ones have a few KiB.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;
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
/// What says that a person has to sign in to SSO anew: of the library, and of the portal.
const SIGNED_OUT: [&str; 3] = [
    "the SSO token has expired",
    "the cached SSO token",
    "UnauthorizedException",
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
    /// Profile in the profile files; else `AWS_PROFILE` or `default`.
    pub profile: Option<String>,
    /// A config file to read instead of the usual profile files.
    pub profile_file: Option<PathBuf>,
    /// Base URL for STS instead of AWS's own, for private endpoints.
    pub sts_endpoint_url: Option<String>,
    /// A role to assume with what the chain finds.
    pub assume_role: Option<AssumeRole>,
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

/// The chain, built on first use.
pub struct Chain {
    options: ChainOptions,
    client: reqwest::Client,
    provider: OnceCell<SharedCredentialsProvider>,
    last_asked: LastAsked,
}

/// Where the last request went: errors of the chain do not say it.
type LastAsked = Arc<Mutex<Option<String>>>;

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Chain {
    /// A chain carried with the host's network settings. A proxy carries requests to metadata services too, unless
    /// `no_proxy` lists their address (`169.254.169.254`).
    pub fn new(network: &Network, options: ChainOptions) -> Result<Self, NetworkError> {
        Ok(Chain {
            options,
            client: network.credentials_client()?,
            provider: OnceCell::new(),
            last_asked: LastAsked::default(),
        })
    }

    pub(super) async fn fetch(&self) -> Result<Credentials, CredentialError> {
        self.fetch_within(FETCH_TIMEOUT).await
    }

    pub(super) async fn fetch_within(
        &self,
        longest: Duration,
    ) -> Result<Credentials, CredentialError> {
        *self
            .last_asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        let asked = async {
            let provider = self.provider.get_or_init(|| self.build()).await;
            provider.provide_credentials().await
        };
        let answer = tokio::time::timeout(longest, asked).await.map_err(|_| {
            self.unavailable(&format!("no answer within {} s", longest.as_secs_f64()))
        })?;
        let found = answer.map_err(|e| self.explain(&e))?;
        Ok(Credentials {
            access_key_id: found.access_key_id().to_owned(),
            secret_access_key: Secret::new(found.secret_access_key()),
            session_token: found.session_token().map(Secret::new),
            expires: found.expiry(),
        })
    }

    async fn build(&self) -> SharedCredentialsProvider {
        let options = &self.options;
        let region = match options.region.as_deref() {
            None | Some("auto") => FALLBACK_REGION.to_owned(),
            Some(region) => region.to_owned(),
        };
        let connector = Connector {
            client: self.client.clone(),
            last_asked: Arc::clone(&self.last_asked),
        };
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region))
            .http_client(http_client_fn(move |settings, _| connector.with(settings)));
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(file) = &options.profile_file {
            loader = loader.profile_files(
                EnvConfigFiles::builder()
                    .with_file(EnvConfigFileKind::Config, file)
                    .build(),
            );
        }
        if let Some(url) = &options.sts_endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        match (&options.assume_role, config.credentials_provider()) {
            (Some(role), _) => {
                let mut builder = aws_config::sts::AssumeRoleProvider::builder(&role.role_arn)
                    .session_name(role.session_name.as_deref().unwrap_or("batch-export"))
                    .configure(&config);
                if let Some(id) = &role.external_id {
                    builder = builder.external_id(id);
                }
                SharedCredentialsProvider::new(builder.build().await)
            }
            (None, Some(provider)) => provider,
            (None, None) => SharedCredentialsProvider::new(NoProvider),
        }
    }

    fn explain(&self, error: &CredentialsError) -> CredentialError {
        let said = with_causes(error);
        let said = without_answer(&said);
        if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
            return CredentialError::Missing(format!(
                "no credentials found{}: looked in the destination's configuration, {LOOKED_AT}; set \
                 aws_access_key_id and aws_secret_access_key, or make one of these available",
                self.role()
            ));
        }
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let remedy = match says(&SIGNED_OUT) {
            true => "sign in with `aws sso login`",
            false => "set right what gives them",
        };
        if says(&SIGNED_OUT)
            || says(&REFUSALS)
            || matches!(error, CredentialsError::InvalidConfiguration(_))
        {
            return CredentialError::Missing(format!(
                "credentials{} are refused: {said}{}; {remedy}, or set aws_access_key_id and aws_secret_access_key",
                self.role(),
                self.asked()
            ));
        }
        self.unavailable(said)
    }

    fn unavailable(&self, said: &str) -> CredentialError {
        CredentialError::Unavailable(format!(
            "no credentials{} for now: {said}{}; they are looked for {LOOKED_AT}, and the first of these that is set \
             up must answer; aws_access_key_id and aws_secret_access_key in the configuration go before all",
            self.role(),
            self.asked()
        ))
    }

    fn role(&self) -> String {
        match &self.options.assume_role {
            Some(role) => format!(" for the role {}", role.role_arn),
            None => String::new(),
        }
    }

    fn asked(&self) -> String {
        let last = self
            .last_asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match last.as_deref() {
            Some(place) => format!(" (last asked: {place})"),
            None => String::new(),
        }
    }
}

/// Stands where the loader made no chain, which its documentation does not exclude.
#[derive(Debug)]
struct NoProvider;

impl ProvideCredentials for NoProvider {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(
            CredentialsError::not_loaded_no_source(),
        ))
    }
}

/// The host's HTTP client in the form that the chain asks for.
#[derive(Debug, Clone)]
struct Connector {
    client: reqwest::Client,
    last_asked: LastAsked,
}

impl Connector {
    fn with(&self, settings: &HttpConnectorSettings) -> SharedHttpConnector {
        let connect = settings.connect_timeout().unwrap_or_default();
        SharedHttpConnector::new(TimedConnector {
            connector: self.clone(),
            timeout: connect + settings.read_timeout().unwrap_or(ANSWER_TIMEOUT),
        })
    }
}

#[derive(Debug)]
struct TimedConnector {
    connector: Connector,
    timeout: Duration,
}

impl HttpConnector for TimedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Connector { client, last_asked } = self.connector.clone();
        let timeout = self.timeout;
        *last_asked.lock().unwrap_or_else(PoisonError::into_inner) = place(request.uri());
        HttpConnectorFuture::new(async move { carry(&client, timeout, request).await })
    }
}

/// An error of instance metadata quotes the whole answer, whose body is nobody's to print.
fn without_answer(said: &str) -> &str {
    said.split(" Response {").next().unwrap_or(said)
}

/// The origin of a URL: what stands behind it may be a secret, or what another answer said.
fn place(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    Some(url.origin().ascii_serialization())
}

async fn carry(
    client: &reqwest::Client,
    timeout: Duration,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let user = |e: &dyn fmt::Display| ConnectorError::user(e.to_string().into());
    let method = reqwest::Method::from_bytes(request.method().as_bytes()).map_err(|e| user(&e))?;
    let body = request
        .body()
        .bytes()
        .map(Bytes::copy_from_slice)
        .ok_or_else(|| user(&"the credential chain sent a streaming body"))?;
    let mut outgoing = client
        .request(method, request.uri())
        .timeout(timeout)
        .body(body);
    for (name, value) in request.headers() {
        outgoing = outgoing.header(name, value);
    }
    let mut answer = outgoing.send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    let mut received = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if received.len() + chunk.len() > ANSWER_LIMIT_BYTES {
            return Err(user(&format!(
                "an answer of more than {ANSWER_LIMIT_BYTES} bytes"
            )));
        }
        received.extend_from_slice(&chunk);
    }
    let status = status.try_into().map_err(|e| user(&e))?;
    let mut response = HttpResponse::new(status, SdkBody::from(received.freeze()));
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            response
                .headers_mut()
                .try_append(name.as_str().to_owned(), value.to_owned())
                .map_err(|e| user(&e))?;
        }
    }
    Ok(response)
}

fn failed(error: reqwest::Error) -> ConnectorError {
    match error.is_timeout() {
        true => ConnectorError::timeout(error.into()),
        false => ConnectorError::io(error.into()),
    }
}
