//! Keys from a configuration, and the chain against a loopback stand-in for STS. What needs environment variables is
//! tested with the program, in `tests/tests/suite/credentials.rs`.

use std::io::Write;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use batch_export_sandbox::{CredentialError, Network, NetworkOptions, Secret};
use batch_export_system::explain::Explain;
use std::sync::Arc;

#[test]
fn a_set_of_keys_names_the_part_that_cannot_be_one_and_repeats_nothing() {
    let new = |id: &str, key: &str, token: Option<&str>| {
        Credentials::new(&Secret::new(id), Secret::new(key), token.map(Secret::new), None)
    };
    let good = new("AKID", "canary/+=", Some("canary")).expect("whole");
    assert!(!format!("{good:?}").contains("canary"), "{good:?}");
    for (id, key, token, expect) in [
        ("", "canary", None, "the access key id is empty"),
        ("AKID", "", None, "the secret access key is empty"),
        ("AKID\n", "canary", None, "the access key id ends with a line break"),
        ("AKID", "canary ", None, "the secret access key ends with a blank"),
        (
            "AKID",
            "canary",
            Some("a\u{7f}"),
            "the session token has a control character in it",
        ),
        (
            "AKID",
            "canary",
            Some("ä"),
            "the session token has a character in it that is not ASCII",
        ),
    ] {
        assert_eq!(new(id, key, token).unwrap_err().to_string(), expect);
    }
}

/// Answers every request with the same status and body, and keeps what was asked.
async fn stand_in(status: u16, body: String) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            while !String::from_utf8_lossy(&bytes).contains("Action=") {
                if matches!(stream.read_buf(&mut bytes).await, Ok(0) | Err(_)) {
                    break;
                }
            }
            told.send(String::from_utf8_lossy(&bytes).into_owned()).ok();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    (url, asked)
}

fn chain(profile: &str, options: ChainOptions) -> (tempfile::NamedTempFile, Arc<Chain>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(profile.as_bytes()).unwrap();
    let network = Network::new(&NetworkOptions::default()).unwrap();
    let options = ChainOptions {
        profile: Some("export".to_owned()),
        profile_file: Some(file.path().to_owned()),
        ..options
    };
    let chain = Chain::new(&network, options).unwrap();
    (file, Arc::new(chain))
}

const KEYS: &str = "[profile export]\naws_access_key_id = AKID\naws_secret_access_key = canary\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_and_a_credential_process_are_read() {
    let (_file, source) = chain(KEYS, ChainOptions::default());
    let found = source.fetch(None).await.unwrap();
    assert_eq!(
        (found.access_key_id.as_str(), found.secret_access_key.expose()),
        ("AKID", "canary")
    );
    let process = "[profile export]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"S\",\"SessionToken\":\"T\",\"Expiration\":\"2099-01-01T00:00:00Z\"}'\n";
    let (_file, source) = chain(process, ChainOptions::default());
    let found = source.fetch(None).await.unwrap();
    assert_eq!(found.access_key_id, "P");
    assert_eq!(found.session_token.unwrap().expose(), "T");
    assert!(found.expires.is_some());
}

fn role(sts_endpoint_url: String) -> ChainOptions {
    ChainOptions {
        region: Some("auto".to_owned()),
        sts_endpoint_url: Some(sts_endpoint_url),
        assume_role: Some(AssumeRole {
            role_arn: "arn:aws:iam::123456789012:role/export".to_owned(),
            external_id: Some("ext-1".to_owned()),
            session_name: None,
        }),
        ..ChainOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_assumed_with_its_external_id() {
    let answer = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/export/b</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>canary2</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    let (url, mut asked) = stand_in(200, answer.to_owned()).await;
    let (_file, source) = chain(KEYS, role(url));
    let found = source.fetch(None).await.unwrap();
    assert_eq!(found.access_key_id, "ASIA");
    assert!(found.session_token.is_some() && found.expires.is_some());
    let request = asked.recv().await.unwrap();
    for expected in [
        "Action=AssumeRole",
        "ExternalId=ext-1",
        "RoleSessionName=batch-export",
        "Credential=AKID/",
    ] {
        assert!(request.contains(expected), "{request}");
    }
    assert!(!request.contains("canary"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_role_is_a_persons_matter() {
    let denied = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform sts:AssumeRole</Message></Error><RequestId>r</RequestId></ErrorResponse>";
    let (url, _asked) = stand_in(403, denied.to_owned()).await;
    let (_file, source) = chain(KEYS, role(url.clone()));
    match source.fetch(None).await {
        Err(CredentialError::Missing(cause)) => {
            assert_eq!(
                cause.to_string(),
                format!(
                    "for the role arn:aws:iam::123456789012:role/export: the credentials of the profile files are \
                     refused: AccessDenied: not authorized to perform sts:AssumeRole (last asked: {url})"
                )
            );
            assert_eq!(
                cause.hint().as_deref(),
                Some(
                    "correct what gives them, or replace `credentials` by aws_access_key_id and aws_secret_access_key"
                )
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_sts_may_answer_later() {
    // Bound, so that nobody else takes the port, and not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let (_file, source) = chain(KEYS, role(url.clone()));
    match source.fetch(None).await {
        Err(CredentialError::Unavailable(cause)) => {
            let said = cause
                .to_string()
                .replace(url.trim_start_matches("http://"), "{address}");
            assert_eq!(
                said,
                "for the role arn:aws:iam::123456789012:role/export: the source does not respond for now (the profile \
                 files): nothing listens at {address} (connection refused)"
            );
            let hint = cause.hint().expect("what to do");
            assert!(hint.starts_with("check that it is available, or replace"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_says_on_standard_error_is_not_repeated() {
    let process = "[profile export]\ncredential_process = sh -c 'echo CANARY >&2; echo CANARY; exit 3'\n";
    let (_file, source) = chain(process, ChainOptions::default());
    let error = source.fetch(None).await.expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "the source does not respond for now (the profile files): external process exited with code exit status: 3."
    );
    assert!(!error.hint().expect("what to do").contains("CANARY"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_never_answers_ends_with_its_time_and_says_what_to_do() {
    let process = "[profile export]\ncredential_process = sleep 60\n";
    let (_file, source) = chain(process, ChainOptions::default());
    match source.ask_within(Duration::from_millis(50)).await {
        Err(CredentialError::Unavailable(cause)) => {
            assert_eq!(
                cause.to_string(),
                "the source does not respond for now (the profile files): no answer within 0.05 s"
            );
            let hint = cause.hint().expect("what to do");
            for words in [
                "or replace `credentials`",
                "credential_process",
                "the first that is set up is asked",
            ] {
                assert!(hint.contains(words), "{words}: {hint}");
            }
        }
        other => panic!("{other:?}"),
    }
}

const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/export/b</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>canary2</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_answer_serves_every_session_until_it_is_to_be_replaced() {
    let (url, mut asked) = stand_in(200, ASSUMED.to_owned()).await;
    let (_file, source) = chain(KEYS, role(url));
    let copy = source.clone();
    let (one, two) = tokio::join!(source.fetch(None), copy.fetch(None));
    let found = one.expect("credentials");
    assert_eq!(found, two.expect("credentials"));
    assert_eq!(source.fetch(None).await, Ok(found.clone()));
    asked.recv().await.expect("the first question");
    assert!(asked.try_recv().is_err(), "asked more than once");
    source.fetch(Some(&found)).await.expect("credentials");
    asked.recv().await.expect("the second question");
}

/// A person must act: however often it is asked again, nothing is there to assume the role with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_credentials_to_assume_it_with_is_a_persons_matter() {
    let (url, mut asked) = stand_in(200, ASSUMED.to_owned()).await;
    for (profile, expect, remedy) in [
        (
            "[profile export]\nregion = eu-west-1\n",
            "the profile `export` in {file} gives no credentials",
            "add keys, a role, SSO or credential_process to it",
        ),
        (
            "[profile other]\naws_access_key_id = A\n",
            "there is no profile `export` (credentials.profile) in {file}; available profiles: other",
            "correct the name or add the profile",
        ),
        (
            "",
            "there is no profile `export` (credentials.profile) in {file}; no profiles are defined there",
            "correct the name or add the profile",
        ),
        (
            "[export]\naws_access_key_id = A\naws_secret_access_key = K\n",
            "{file} has the profile `export` as `[export]`",
            "write `[profile export]` in a file of this kind",
        ),
        (
            "[profile export]\naws_access_key_id = AKID\n",
            "the profile files cannot be used: invalid credential source in `export`: profile missing \
             aws_secret_access_key",
            "correct the settings there",
        ),
        (
            "[profile export]\naws_access_key_id = AKID\naws_secret_access_key =\n",
            "of what the profile files gave, the secret access key is empty",
            "correct it there",
        ),
        (
            "[profile export]\nrole_arn = r\nsource_profile = gone\n",
            "the profile `export` names `gone` as its source_profile, which is not in {file}",
            "correct it",
        ),
        (
            "[profile export]\nrole_arn = r\ncredential_source = Nothing\n",
            "the profile files cannot be used: profile referenced `Nothing` provider but that provider is not supported",
            "correct the settings there",
        ),
    ] {
        let (file, source) = chain(profile, role(url.clone()));
        match source.fetch(None).await {
            Err(CredentialError::Missing(cause)) => {
                let (message, hint) = cause.into_parts();
                let message = message.strip_prefix("for the role arn:aws:iam::123456789012:role/export: ");
                let name = file.path().display().to_string();
                let found = (
                    message.expect("the role").replace(&name, "{file}"),
                    hint.expect("what to do"),
                );
                let either = "or replace `credentials` by aws_access_key_id and aws_secret_access_key";
                assert_eq!(found, (expect.to_owned(), format!("{remedy}, {either}")));
            }
            other => panic!("{profile}: {other:?}"),
        }
    }
    assert!(asked.try_recv().is_err(), "STS was asked with nothing");
}
