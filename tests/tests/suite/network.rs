//! How requests travel: no redirect is followed, no address reached that is not public or named; a private authority
//! and a proxy carry a run.

use batch_export_sandbox::Limits;
use batch_export_sandbox::Secret;
use batch_export_sandbox::{Network, NetworkOptions};
use batch_export_tests::components;
use batch_export_tests::loopback::Server;
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::rows::{events_batch, plain_events};
use batch_export_tests::scene::{BUCKET, Messages, Outcome, Scene};
use devstore::Options;
use serde_json::{Value, json};

const ROWS: u64 = 100;

/// A small run against another endpoint than the store's own.
async fn export_to(scene: &Scene, endpoint: &str) -> Outcome {
    let further = json!({"endpoint_url": endpoint, "file_format": "Parquet", "max_file_size_mb": 1});
    let configuration = scene.configuration("exports/", further);
    let messages = Messages::of(&[events_batch(&plain_events(ROWS as usize))]);
    scene
        .run(&scene.destination(), &configuration, &messages, Limits::default())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_never_followed() {
    for (status, name) in [
        ("307 Temporary Redirect", "307"),
        ("301 Moved Permanently", "301"),
        ("308 Permanent Redirect", "308"),
    ] {
        let mut scene = Scene::new().await;
        let target = Server::answering("200 OK", "etag: \"0\"\r\n".to_owned()).await;
        let location = format!("location: http://{}/elsewhere\r\n", target.address);
        let redirector = Server::answering(status, location).await;
        // Both may be reached: that the second is not is no matter of addresses.
        let address = |server: &Server| server.address.to_string();
        scene.allow_private = vec![address(&redirector), address(&target)];
        let outcome = export_to(&scene, &format!("http://{}", redirector.address)).await;
        let error = outcome.error();
        assert!(
            error.contains(name) && error.contains("redirects are not followed"),
            "{error}"
        );
        assert_eq!(redirector.requests().len(), 1, "it is not repeated either");
        assert_eq!(target.requests(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_resolves_to_loopback_must_be_listed() {
    let mut scene = Scene::new().await;
    let port = scene.store.address().port();
    let endpoint = format!("http://localhost:{port}");
    scene.allow_private = Vec::new();
    let outcome = export_to(&scene, &endpoint).await;
    let error = outcome.error();
    for words in ["`localhost` resolves to", "not public (loopback)"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(scene.store.requests().len(), 0);

    // Another port is another place.
    scene.allow_private = vec!["localhost:1".to_owned()];
    assert!(export_to(&scene, &endpoint).await.error().contains("loopback"));
    assert_eq!(scene.store.requests().len(), 0);

    // Whatever `localhost` is first on this machine, the store listens on 127.0.0.1.
    scene.allow_private = vec![format!("localhost:{port}")];
    assert_eq!(export_to(&scene, &endpoint).await.report().rows_exported, ROWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_address_is_refused_in_every_spelling() {
    let scene = Scene::new().await;
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "169.254.170.2",
    ] {
        let outcome = export_to(&scene, &format!("http://{host}")).await;
        assert_eq!(outcome.step, "plan", "{host}: {:?}", outcome.result);
        let error = outcome.error();
        assert!(
            error.contains("metadata") || error.contains("endpoint_url"),
            "{host}: {error}"
        );
    }
}

/// The program's configuration with this further line.
fn small(scene: &Scene, line: &str) -> String {
    let fields = format!("max_file_size_mb = 1\n{line}");
    configuration(scene, "exports", ROWS as usize, &fields)
}

async fn with_tls() -> Scene {
    Scene::with(Options {
        tls: true,
        ..Options::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_once_its_file_is_named() {
    let scene = with_tls().await;
    let program = Program::new(&small(&scene, ""));
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(
        printed.stderr.contains("TLS failed") && printed.stderr.contains("ca_file"),
        "{printed:?}"
    );
    assert_eq!(scene.store.requests().len(), 0);

    let pem = scene.store.ca_pem().expect("an authority");
    std::fs::write(program.folder.path().join("authority.pem"), pem).expect("written");
    program.configure(&small(&scene, "egress.ca_file = \"authority.pem\""));
    let printed = program.export(&["--json"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let report: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(report["rows_supplied"], ROWS);
    assert_eq!(scene.store.keys(BUCKET).len(), 2, "a file and its manifest");
}

/// Variables that say where the system's certificates are count, as with other tools; what they name must be there.
#[tokio::test(flavor = "multi_thread")]
async fn the_systems_certificates_are_where_the_environment_says() {
    let scene = with_tls().await;
    let mut program = Program::new(&small(&scene, ""));
    let folder = program.folder.path().to_owned();
    let pem = scene.store.ca_pem().expect("an authority");
    std::fs::create_dir(folder.join("authorities")).expect("a folder");
    std::fs::write(folder.join("authorities/one.pem"), pem).expect("written");
    std::fs::write(folder.join("empty.pem"), "no certificate").expect("written");
    for (name, value, code, words) in [
        ("SSL_CERT_FILE", "authorities/one.pem", 0, ""),
        ("SSL_CERT_DIR", "authorities", 0, ""),
        (
            "SSL_CERT_FILE",
            "gone.pem",
            2,
            "SSL_CERT_FILE names gone.pem, which cannot be read",
        ),
        (
            "SSL_CERT_FILE",
            "empty.pem",
            2,
            "no certificate can be read from SSL_CERT_FILE",
        ),
        (
            "SSL_CERT_DIR",
            "gone",
            2,
            "no certificate can be read from SSL_CERT_DIR",
        ),
        ("SSL_CERT_FILE", "", 2, "SSL_CERT_FILE is set, but empty"),
    ] {
        program.environment = vec![(name.to_owned(), value.to_owned())];
        let printed = program.export(&[]);
        assert_eq!(printed.code, Some(code), "{name}={value}: {printed:?}");
        assert!(printed.stderr.contains(words), "{words}: {printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_carries_a_whole_run() {
    let scene = Scene::new().await;
    let proxy = Server::proxy().await;
    let line = format!("egress.proxy = \"http://{}\"", proxy.address);
    let printed = Program::new(&small(&scene, &line)).export(&[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let through: Vec<_> = proxy.requests();
    assert_eq!(through.len(), scene.store.requests().len());
    let whole = format!(" http://{}/{BUCKET}/exports/", scene.store.address());
    assert!(through.iter().all(|line| line.contains(&whole)), "{through:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_tunnels_tls_and_sees_nothing_of_it() {
    let mut scene = with_tls().await;
    let proxy = Server::proxy().await;
    let folder = tempfile::tempdir().expect("a folder");
    let ca_file = folder.path().join("authority.pem");
    std::fs::write(&ca_file, scene.store.ca_pem().expect("an authority")).expect("written");
    let mut options = NetworkOptions::default();
    options.ca_file = Some(ca_file);
    options.proxy = Some(Secret::new(format!("http://{}", proxy.address)));
    scene.network = Network::new(&options).expect("a network");
    let outcome = export_to(&scene, &scene.store.endpoint()).await;
    assert_eq!(outcome.report().rows_exported, ROWS);
    let through = proxy.requests();
    let tunnel = format!("CONNECT {} HTTP/1.1", scene.store.address());
    assert!(!through.is_empty());
    assert!(through.iter().all(|line| *line == tunnel), "{through:?}");

    // A proxy is no way around the policy: what may not be reached may not be reached through it.
    let before = proxy.requests().len();
    let outcome = export_to(&scene, "http://169.254.169.254").await;
    assert_eq!(outcome.step, "plan");
    assert_eq!(proxy.requests().len(), before);
}

/// `verify` over what [`Program::export`] wrote.
fn verify(program: &Program) -> Printed {
    let component = components::destination();
    let mut arguments = vec!["verify", "--config", "exports.toml"];
    arguments.extend(["--component", component.to_str().expect("UTF-8")]);
    arguments.extend(["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"]);
    program.run(&arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_the_host_name_is_written_and_read_on_this_machine() {
    const DOTTED: &str = "exports.of.test";
    // A certificate for `*.s3.localhost` does not cover a bucket with a dot.
    for (tls, bucket) in [(false, BUCKET), (true, BUCKET), (false, DOTTED)] {
        let scene = Scene::with(Options {
            buckets: vec![BUCKET.to_owned(), DOTTED.to_owned()],
            domain: Some("s3.localhost".to_owned()),
            tls,
            ..Options::default()
        })
        .await;
        let program = Program::new("");
        let mut lines = "use_virtual_style_addressing = true".to_owned();
        if let Some(pem) = scene.store.ca_pem() {
            std::fs::write(program.folder.path().join("authority.pem"), pem).expect("written");
            lines.push_str("\negress.ca_file = \"authority.pem\"");
        }
        let port = scene.store.address().port();
        let by_name = scene.store.endpoint().replace("127.0.0.1", "s3.localhost");
        let text = small(&scene, &lines)
            .replace(&scene.store.endpoint(), &by_name)
            .replace(BUCKET, bucket);
        program.configure(&text);
        let printed = program.export(&[]);
        assert_eq!(printed.code, Some(0), "{bucket}: {printed:?}");
        assert_eq!(scene.store.keys(bucket).len(), 2, "a file and its manifest");
        let printed = verify(&program);
        assert_eq!(printed.code, Some(0), "{bucket}: {printed:?}");
        let host = format!("{bucket}.s3.localhost:{port}");
        for request in scene.store.requests() {
            assert_eq!(request.header("host"), Some(host.as_str()));
            assert!(!request.path.contains(bucket), "{}", request.path);
        }

        // This machine is no public address, whatever it is called.
        let listed = format!("egress.allow_private = [\"{}\"]", scene.store.address());
        program.configure(&text.replace(&listed, ""));
        let before = scene.store.requests().len();
        let printed = program.export(&[]);
        assert_eq!(printed.code, Some(1), "{printed:?}");
        assert!(
            printed.stderr.contains(&format!("allow_private = [\"{host}\"]")),
            "{printed:?}"
        );
        assert_eq!(scene.store.requests().len(), before);
    }
}
