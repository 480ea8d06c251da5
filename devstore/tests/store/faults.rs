//! Each kind of fault does what it says: to the answer, and to the store.

use std::time::Duration;

use devstore::{Fault, Operation, Options, What};

use crate::client::Client;

#[tokio::test]
async fn faults_with_an_answer() {
    let store = Options::default().start().await.unwrap();
    let client = Client::new(&store);
    let cases = [
        (What::Status(503, "SlowDown".into()), 503, "SlowDown", false),
        (
            What::OkWithErrorBody("InternalError".into()),
            200,
            "InternalError",
            false,
        ),
        (What::Delay(1), 200, "", true),
        (What::WrongETag, 200, "", true),
        (What::GarbageBody, 200, "", true),
    ];
    for (n, (what, status, code, effect)) in cases.into_iter().enumerate() {
        store.set_faults(vec![Fault::on(Operation::PutObject, what.clone())]);
        let answer = client
            .send("PUT", &format!("test-bucket/{n}"), &[], &[7; 300_000])
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what:?}");
        assert_eq!(store.keys("test-bucket").contains(&n.to_string()), effect, "{what:?}");
        assert_eq!(store.requests().last().unwrap().fault.as_ref(), Some(&what));
        if let Some(object) = store
            .objects("test-bucket")
            .iter()
            .find(|object| object.key == n.to_string())
        {
            assert_eq!(
                answer.header("etag").trim_matches('"') == object.etag,
                what != What::WrongETag,
                "{what:?}"
            );
        }
    }
    store.set_faults(vec![]);
    assert_eq!(client.send("PUT", "test-bucket/healed", &[], b"x").await.status, 200);
}

#[tokio::test]
async fn faults_that_cut_the_answer() {
    let store = Options::default().start().await.unwrap();
    let client = Client::new(&store);
    for (what, effect) in [
        (What::CutBeforeEffect, false),
        (What::CutAfterEffect, true),
        (What::TruncatedBody, true),
    ] {
        // Not the first one only: the HTTP client repeats a request whose pooled connection was closed under it.
        store.set_faults(vec![Fault::always(what.clone())]);
        let key = format!("{what:?}");
        let answer = client.try_send("PUT", &format!("test-bucket/{key}"), &[], b"x").await;
        assert!(answer.is_err(), "{what:?}: {answer:?}");
        assert_eq!(store.keys("test-bucket").contains(&key), effect, "{what:?}");
    }
}

#[tokio::test]
async fn a_hanging_request_ends_with_the_clients_patience_and_harms_no_other() {
    let store = Options::default().start().await.unwrap();
    store.set_faults(vec![
        Fault::on(Operation::PutObject, What::Hang).key_contains("slow").nth(1),
    ]);
    let client = Client::new(&store);
    let slow = async {
        tokio::time::timeout(
            Duration::from_millis(300),
            client.try_send("PUT", "test-bucket/slow", &[], b"x"),
        )
        .await
    };
    let other = client.send("PUT", "test-bucket/other", &[], b"x");
    let (slow, other) = tokio::join!(slow, other);
    assert!(slow.is_err());
    assert_eq!(other.status, 200);
    assert_eq!(store.keys("test-bucket"), ["other"]);
    assert_eq!(
        client.send("PUT", "test-bucket/slow", &[], b"x").await.status,
        200,
        "the second one is not struck"
    );
}

#[tokio::test]
async fn the_order_of_the_log_tells_what_overlapped() {
    let store = Options::default().start().await.unwrap();
    let client = Client::new(&store);
    client.send("PUT", "test-bucket/first", &[], b"x").await;
    store.set_faults(vec![Fault::on(Operation::PutObject, What::Hang).key_contains("second")]);
    let hanging = client.try_send("PUT", "test-bucket/second", &[], b"x");
    let third = async {
        while !store
            .requests()
            .iter()
            .any(|request| request.key.as_deref() == Some("second"))
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.send("PUT", "test-bucket/third", &[], b"x").await
    };
    tokio::select! {
        answer = hanging => panic!("it hangs: {answer:?}"),
        answer = third => assert_eq!(answer.status, 200),
    }
    let requests = store.requests();
    let of = |key: &str| {
        requests
            .iter()
            .find(|request| request.key.as_deref() == Some(key))
            .unwrap()
    };
    assert!(of("second").overlaps(of("third")) && of("third").overlaps(of("second")));
    assert!(!of("first").overlaps(of("second")) && !of("third").overlaps(of("first")));
    assert_eq!(of("first").body_bytes, 1);
    assert_eq!(of("first").header("authorization"), Some("[redacted]"));
}
