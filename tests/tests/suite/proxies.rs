//! Proxies: a user and password for them, TLS to them, and hosts that are reached without them.

use batch_export_tests::keys::{CONTAINER_AUTHORIZATION, LASTING, StandIn, keys};
use batch_export_tests::loopback::Server;
use batch_export_tests::program::{Program, configuration, keyless};
use batch_export_tests::scene::Scene;
use devstore::Options;

const ROWS: usize = 100;
/// `exporter` with the password `CANARY p@ss`.
const AUTHORIZATION: &str = "Basic ZXhwb3J0ZXI6Q0FOQVJZIHBAc3M=";
const USER_INFO: &str = "exporter:CANARY%20p%40ss";

async fn with_tls() -> Scene {
    Scene::with(Options {
        tls: true,
        ..Options::default()
    })
    .await
}

/// A program whose authority file holds these certificates.
fn program(scene: &Scene, lines: &str, authorities: &[&str]) -> Program {
    let program = Program::new("");
    let path = program.folder.path().join("authorities.pem");
    std::fs::write(path, authorities.concat()).expect("written");
    let ca_file = match authorities {
        [] => "",
        _ => "egress.ca_file = \"authorities.pem\"",
    };
    program.configure(&configuration(scene, "exports", ROWS, &format!("{lines}\n{ca_file}")));
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_gets_its_user_and_password_and_the_store_does_not() {
    for scene in [Scene::new().await, with_tls().await] {
        let proxy = Server::proxy_for(AUTHORIZATION).await;
        let authorities: Vec<&str> = scene.store.ca_pem().into_iter().collect();
        let line = |user: &str| format!("egress.proxy = \"http://{user}@{}\"", proxy.address);
        let printed = program(&scene, &line(USER_INFO), &authorities).export(&[]);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let requests = scene.store.requests();
        assert!(!requests.is_empty() && !proxy.requests().is_empty());
        for request in &requests {
            assert_eq!(request.header("proxy-authorization"), None);
        }

        let before = proxy.requests().len();
        let printed = program(&scene, &line("exporter:CANARY"), &authorities).export(&[]);
        assert_eq!(printed.code, Some(1), "{printed:?}");
        assert!(printed.stderr.contains("user and password"), "{printed:?}");
        assert!(!format!("{printed:?}").contains("CANARY"), "{printed:?}");
        assert_eq!(scene.store.requests().len(), requests.len());
        assert!(proxy.requests().len() <= before + 2, "a refusal is not repeated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_may_speak_tls() {
    for scene in [Scene::new().await, with_tls().await] {
        let plain = Server::proxy_for(AUTHORIZATION).await;
        let (acceptor, authority) = devstore::acceptor(&[]).expect("a certificate");
        let proxy = Server::behind_tls(acceptor, plain.address).await;
        let mut authorities: Vec<&str> = scene.store.ca_pem().into_iter().collect();
        authorities.push(&authority);
        let line = format!("egress.proxy = \"https://{USER_INFO}@{}\"", proxy.address);
        let printed = program(&scene, &line, &authorities).export(&[]);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        assert!(!plain.requests().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_names_what_is_reached_without_it() {
    let scene = Scene::new().await;
    for (no_proxy, through) in [
        ("127.0.0.1", false),
        ("example.com, 127.0.0.0/8", false),
        ("example.com,10.0.0.0/8", true),
        ("", true),
    ] {
        let proxy = Server::proxy().await;
        let mut lines = format!("egress.proxy = \"http://{}\"\n", proxy.address);
        // Keys of the host are never empty: what should mean nothing is left out.
        if !no_proxy.is_empty() {
            lines.push_str(&format!("egress.no_proxy = \"{no_proxy}\""));
        }
        let printed = program(&scene, &lines, &[]).export(&[]);
        assert_eq!(printed.code, Some(0), "{no_proxy}: {printed:?}");
        assert_eq!(!proxy.requests().is_empty(), through, "{no_proxy}");
    }
}

/// A proxy would give its own machine's keys, or nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_this_machine_are_not_asked_for_through_a_proxy() {
    let scene = Scene::new().await;
    scene.store.set_identities(vec![keys("container", 1).identity()]);
    let (stand_in, proxy) = (StandIn::start(LASTING).await, Server::proxy().await);
    let line = format!("egress.proxy = \"http://{}\"", proxy.address);
    let mut program = Program::new(&keyless(&scene, "exports", ROWS, &line));
    for (name, value) in [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", stand_in.url("/container")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_AUTHORIZATION.to_owned()),
    ] {
        program.environment.push((name.to_owned(), value));
    }
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(stand_in.issued("container"), 1);
    let through = proxy.requests();
    assert_eq!(through.len(), scene.store.requests().len());
    assert!(through.iter().all(|line| !line.contains("/container")), "{through:?}");
}
