//! Keys from a configuration, and the chain against a loopback stand-in for STS. What needs environment variables is
//! tested with the program, in `tests/tests/suite/credentials.rs`.

use std::io::Write;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::capability::network::{Network, NetworkOptions};

#[test]
fn keys_come_in_pairs() {
    let (id, secret) = (Secret::new("AKID"), Secret::new("canary"));
    let both = CredentialSource::from_keys(Some(&id), Some(&secret), None).unwrap();
    assert!(matches!(both, Some(CredentialSource::Static(_))));
    assert!(!format!("{both:?}").contains("canary"));
    let empty = Secret::new("");
    assert!(
        CredentialSource::from_keys(Some(&empty), None, None)
            .unwrap()
            .is_none()
    );
    for (id, secret, named) in [
        (Some(&id), None, "secret_access_key"),
        (None, Some(&secret), "access_key_id"),
    ] {
        let error = CredentialSource::from_keys(id, secret, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("no `aws_{named}`")) && !error.contains("canary"),
            "{error}"
        );
    }
}

/// Answers every request with the same status and body, and keeps what was asked.
async fn stand_in(
    status: u16,
    body: String,
) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
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

fn chain(profile: &str, options: ChainOptions) -> (tempfile::NamedTempFile, CredentialSource) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(profile.as_bytes()).unwrap();
    let network = Network::new(&NetworkOptions::default()).unwrap();
    let options = ChainOptions {
        profile: Some("export".to_owned()),
        profile_file: Some(file.path().to_owned()),
        ..options
    };
    let chain = Chain::new(&network, options).unwrap();
    (file, CredentialSource::Chain(Arc::new(chain)))
}

const KEYS: &str = "[profile export]\naws_access_key_id = AKID\naws_secret_access_key = canary\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_and_a_credential_process_are_read() {
    let (_file, source) = chain(KEYS, ChainOptions::default());
    let found = source.fetch().await.unwrap();
    assert_eq!(
        (
            found.access_key_id.as_str(),
            found.secret_access_key.expose()
        ),
        ("AKID", "canary")
    );
    let process = "[profile export]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"S\",\"SessionToken\":\"T\",\"Expiration\":\"2099-01-01T00:00:00Z\"}'\n";
    let (_file, source) = chain(process, ChainOptions::default());
    let found = source.fetch().await.unwrap();
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
    let found = source.fetch().await.unwrap();
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
    let (_file, source) = chain(KEYS, role(url));
    match source.fetch().await {
        Err(CredentialError::Missing(text)) => {
            assert!(
                text.contains("role/export") && text.contains("AccessDenied"),
                "{text}"
            );
            assert!(!text.contains("canary"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_sts_may_answer_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (_file, source) = chain(KEYS, role(url));
    match source.fetch().await {
        Err(CredentialError::Unavailable(text)) => assert!(text.contains("role/export"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_never_answers_ends_with_its_time_and_says_what_to_do() {
    let process = "[profile export]\ncredential_process = sleep 60\n";
    let (_file, source) = chain(process, ChainOptions::default());
    let CredentialSource::Chain(chain) = source else {
        panic!("{source:?}")
    };
    match chain.fetch_within(Duration::from_millis(50)).await {
        Err(CredentialError::Unavailable(text)) => {
            for words in [
                "no answer within 0.05 s",
                "credential_process",
                "set up must answer",
            ] {
                assert!(text.contains(words), "{words}: {text}");
            }
        }
        other => panic!("{other:?}"),
    }
}
