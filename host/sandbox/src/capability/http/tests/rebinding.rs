//! Names that change their address between two questions: each connection goes to an address that was judged for it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;

const STORE: &str = "store.example.com";
const CLOSING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A network whose names have these addresses, each list for one question, and the number of questions.
fn scripted(answers: &[&[&str]]) -> (Network, Arc<AtomicUsize>) {
    let parsed = |list: &&[&str]| list.iter().map(|a| a.parse().unwrap()).collect();
    let script: VecDeque<Vec<IpAddr>> = answers.iter().map(parsed).collect();
    let (script, asked) = (Mutex::new(script), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let lookup = Arc::new(move |name: &str| {
        assert_eq!(name, STORE);
        counted.fetch_add(1, Ordering::AcqRel);
        let next = script.lock().unwrap().pop_front();
        let next = next.ok_or_else(|| std::io::Error::other("asked once too often"));
        Box::pin(std::future::ready(next)) as _
    });
    let network = Network::new(&NetworkOptions::default()).unwrap();
    (network.with_lookup(lookup), asked)
}

async fn outcome(http: &Http, port: u16) -> String {
    match answer(http.send(put(STORE, port))).await {
        Ok(response) => response.status.to_string(),
        Err(error) => format!("{}: {error}", class(&error)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_changes_its_address_is_judged_for_every_connection() {
    let mut server = Server::start(CLOSING).await;
    // The address is allowed, not the name: all others of the name are what its owner put there since.
    let allowed = format!("127.0.0.1:{}", server.port);
    let script: [(&[&str], &str); 7] = [
        (&["127.0.0.1"], "200"),
        (&["169.254.169.254"], "instance metadata"),
        (&["10.0.0.7"], "private"),
        (&["127.0.0.1"], "200"),
        (&["::ffff:169.254.169.254"], "instance metadata"),
        (&["fd00:ec2::254", "::1"], "instance metadata"),
        (&["127.0.0.1"], "200"),
    ];
    let (network, asked) = scripted(&script.map(|(addresses, _)| addresses));
    let http = http_over(&network, STORE, server.port, &[&allowed], HttpLimits::default());
    for (addresses, expected) in script {
        let seen = outcome(&http, server.port).await;
        assert!(seen.contains(expected), "{addresses:?}: {seen}");
        assert_eq!(seen.starts_with("forbidden"), expected != "200", "{seen}");
    }
    // One question for each connection: nothing asks again between the judgement and the connection.
    assert_eq!(asked.load(Ordering::Acquire), script.len());
    let arrived = std::iter::from_fn(|| server.read.try_recv().ok()).count();
    assert_eq!(arrived, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_addresses_only_those_allowed_are_tried() {
    let server = Server::start(CLOSING).await;
    let allowed = format!("127.0.0.1:{}", server.port);
    let (network, _) = scripted(&[&["169.254.169.254", "127.0.0.1", "10.0.0.7"]]);
    let http = http_over(&network, STORE, server.port, &[&allowed], HttpLimits::default());
    assert_eq!(outcome(&http, server.port).await, "200");

    // Nothing listens at the address allowed. The other one, where something does, is no way out: neither beside it
    // nor alone when the guest tries again.
    let mut trap = Server::start(CLOSING).await;
    let (network, asked) = scripted(&[&["::1", "127.0.0.1"], &["127.0.0.1"]]);
    let http = http_over(&network, STORE, trap.port, &["::1"], HttpLimits::default());
    let first = outcome(&http, trap.port).await;
    assert!(first.starts_with("connect"), "{first}");
    let again = outcome(&http, trap.port).await;
    assert!(again.starts_with("forbidden") && again.contains("loopback"), "{again}");
    assert_eq!(asked.load(Ordering::Acquire), 2);
    assert!(trap.read.try_recv().is_err(), "the trap was reached");
}
