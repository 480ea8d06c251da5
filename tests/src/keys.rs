//! A stand-in on loopback for every place that hands out credentials over HTTP: container and instance metadata, STS
//! and the SSO portal. Strict about what proves the asker; knows no store.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use devstore::Identity;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::loopback::{Server, body_of};

/// Every secret of these tests begins with this, so that one search finds any of them.
pub const CANARY: &str = "CANARY";
/// What must be presented to the container's endpoint.
pub const CONTAINER_AUTHORIZATION: &str = "CANARY-container-authorization";
/// What must be presented to the SSO portal.
pub const SSO_BEARER: &str = "CANARY-sso-bearer";
/// What must be presented for a web identity.
pub const WEB_IDENTITY: &str = "CANARY-web-identity";
/// What a role's trust policy asks for.
pub const EXTERNAL_ID: &str = "external-7f3a";
/// The token of a session with the instance's metadata.
const INSTANCE_SESSION: &str = "CANARY-instance-session";

/// One set of temporary credentials.
pub struct Keys {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

/// The keys of a provider's nth generation, which only it hands out.
pub fn keys(provider: &str, generation: u32) -> Keys {
    Keys {
        access_key_id: format!("ASIA-{provider}-{generation}"),
        secret_access_key: format!("{CANARY}-secret-{provider}-{generation}"),
        session_token: format!("{CANARY}-token-{provider}-{generation}"),
    }
}

impl Keys {
    /// What a store must know to let them in.
    pub fn identity(&self) -> Identity {
        Identity::new(&self.access_key_id, &self.secret_access_key).with_session_token(&self.session_token)
    }
}

/// What is handed out.
#[derive(Debug, Clone, Copy)]
pub struct Issue {
    pub generation: u32,
    pub valid_for: Duration,
}

/// How the stand-in behaves.
#[derive(Clone)]
pub enum Mood {
    /// Hands out what this says for the nth question to a provider, counted from 1.
    Issues(fn(u32) -> Issue),
    /// Answers 200 with half of an answer, secret included.
    Garbage,
    /// Answers this status with a secret in its body.
    Status(&'static str),
    /// Takes the request and never answers.
    Hangs,
}

/// Keys of the first generation that outlive every test.
pub const LASTING: Mood = Mood::Issues(|_| Issue {
    generation: 1,
    valid_for: Duration::from_secs(3600),
});

/// The server, and what it was asked.
pub struct StandIn {
    server: Server,
    issued: Arc<Mutex<HashMap<&'static str, u32>>>,
}

impl StandIn {
    /// Starts it. It ends with the test's runtime.
    pub async fn start(mood: Mood) -> Self {
        let issued = Arc::new(Mutex::new(HashMap::new()));
        let counts = Arc::clone(&issued);
        let server = Server::serve(move |mut stream, head| {
            let (mood, counts) = (mood.clone(), Arc::clone(&counts));
            async move {
                serve(&mut stream, &head, &mood, &counts).await;
            }
        });
        StandIn {
            server: server.await,
            issued,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The URL of a path of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// How often a provider handed keys out.
    pub fn issued(&self, provider: &str) -> u32 {
        let issued = self.issued.lock().expect("the counts");
        issued.get(provider).copied().unwrap_or(0)
    }

    /// The first lines of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.server.requests()
    }
}

/// `None` when the client went away.
async fn serve(
    stream: &mut TcpStream,
    head: &[u8],
    mood: &Mood,
    counts: &Mutex<HashMap<&'static str, u32>>,
) -> Option<()> {
    let body = body_of(stream, head).await?;
    let (head, body) = (String::from_utf8_lossy(head), String::from_utf8_lossy(&body));
    let request = Request::parse(&head, &body);
    let (status, text) = match mood {
        Mood::Hangs => return std::future::pending().await,
        Mood::Garbage => (
            "200 OK",
            format!("{{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"{CANARY}"),
        ),
        Mood::Status(status) => (*status, format!("{CANARY} in an answer")),
        Mood::Issues(issue) => match request.provider() {
            Provider::Unknown => ("403 Forbidden", "who asks?".to_owned()),
            Provider::Fixed(text) => ("200 OK", text.to_owned()),
            Provider::Keys(provider, form) => {
                let mut counts = counts.lock().expect("the counts");
                let count = counts.entry(provider).or_default();
                *count += 1;
                let issue = issue(*count);
                ("200 OK", form(&keys(provider, issue.generation), issue.valid_for))
            }
        },
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()
}

type Form = fn(&Keys, Duration) -> String;

enum Provider {
    Keys(&'static str, Form),
    /// A step on the way to keys.
    Fixed(&'static str),
    Unknown,
}

struct Request<'a> {
    line: &'a str,
    head: &'a str,
    body: &'a str,
}

impl<'a> Request<'a> {
    fn parse(head: &'a str, body: &'a str) -> Self {
        Request {
            line: head.lines().next().unwrap_or_default(),
            head,
            body,
        }
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.head.lines().any(|line| {
            line.split_once(':')
                .is_some_and(|(found, sent)| found.eq_ignore_ascii_case(name) && sent.trim() == value)
        })
    }

    fn asks(&self, start: &str) -> bool {
        self.line.starts_with(start)
    }

    fn provider(&self) -> Provider {
        let in_session = || self.has("x-aws-ec2-metadata-token", INSTANCE_SESSION);
        let roles = "GET /latest/meta-data/iam/security-credentials/";
        if self.asks("GET /container ") && self.has("authorization", CONTAINER_AUTHORIZATION) {
            return Provider::Keys("container", json);
        }
        if self.asks("PUT /latest/api/token ") && self.has("x-aws-ec2-metadata-token-ttl-seconds", "21600") {
            return Provider::Fixed(INSTANCE_SESSION);
        }
        if self.asks(&format!("{roles} ")) && in_session() {
            return Provider::Fixed("exporter");
        }
        if self.asks(&format!("{roles}exporter ")) && in_session() {
            return Provider::Keys("instance", json);
        }
        if self.asks("GET /federation/credentials?")
            && ["role_name=Exporter", "account_id=111122223333"]
                .iter()
                .all(|p| self.line.contains(p))
            && self.has("x-amz-sso_bearer_token", SSO_BEARER)
        {
            return Provider::Keys("sso", portal);
        }
        let form = |name: &str, value: &str| self.body.split('&').any(|p| p == format!("{name}={value}"));
        if form("Action", "AssumeRoleWithWebIdentity") && form("WebIdentityToken", WEB_IDENTITY) {
            return Provider::Keys("web-identity", web_identity);
        }
        if form("Action", "AssumeRole") && form("ExternalId", EXTERNAL_ID) && self.head.contains("Credential=ASIA-") {
            return Provider::Keys("role", role);
        }
        Provider::Unknown
    }
}

fn expiration(valid_for: Duration) -> String {
    (Utc::now() + valid_for).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>
fn json(keys: &Keys, valid_for: Duration) -> String {
    format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"{}","SecretAccessKey":"{}","Token":"{}","Expiration":"{}"}}"#,
        keys.access_key_id,
        keys.secret_access_key,
        keys.session_token,
        expiration(valid_for)
    )
}

/// <https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html>
fn portal(keys: &Keys, valid_for: Duration) -> String {
    let milliseconds = (Utc::now() + valid_for).timestamp_millis();
    format!(
        r#"{{"roleCredentials":{{"accessKeyId":"{}","secretAccessKey":"{}","sessionToken":"{}","expiration":{milliseconds}}}}}"#,
        keys.access_key_id, keys.secret_access_key, keys.session_token
    )
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
fn role(keys: &Keys, valid_for: Duration) -> String {
    sts("AssumeRole", keys, valid_for)
}

fn web_identity(keys: &Keys, valid_for: Duration) -> String {
    sts("AssumeRoleWithWebIdentity", keys, valid_for)
}

fn sts(action: &str, keys: &Keys, valid_for: Duration) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId>\
         <Arn>arn:aws:sts::111122223333:assumed-role/exporter/b</Arn></AssumedRoleUser>\
         <Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>\
         </{action}Result></{action}Response>",
        keys.access_key_id,
        keys.secret_access_key,
        keys.session_token,
        expiration(valid_for)
    )
}
