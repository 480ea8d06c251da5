//! Where credentials come from, with the program in a clean environment: each source alone, their order, sources that
//! misbehave. The store lets in exactly the keys of the source that is meant, session token and all.

use batch_export_tests::keys::{
    CANARY, CONTAINER_AUTHORIZATION, EXTERNAL_ID, LASTING, Mood, SSO_BEARER, StandIn, WEB_IDENTITY, keys,
};
use batch_export_tests::program::{self, Printed, Program};
use batch_export_tests::scene::{BUCKET, Scene};

const ROWS: usize = 100;
/// SHA-1 of `exports`, the name of the SSO session: what its cached token's file is called.
const SSO_CACHE: &str = ".aws/sso/cache/e87e846a2b2da5dfadb82e7cc09eefd99016f221.json";

/// One source of credentials and what sets it up.
struct Source {
    /// As [`keys`] knows it.
    provider: &'static str,
    environment: Vec<(&'static str, String)>,
    /// Files below the program's folder, which is its home.
    files: Vec<(&'static str, String)>,
    /// Further lines of the destination.
    lines: String,
    /// The last request to the stand-in, if any is needed.
    asked: Option<&'static str>,
}

fn source(provider: &'static str) -> Source {
    Source {
        provider,
        environment: Vec::new(),
        files: Vec::new(),
        lines: String::new(),
        asked: None,
    }
}

fn environment() -> Source {
    let keys = keys("environment", 1);
    Source {
        environment: vec![
            ("AWS_ACCESS_KEY_ID", keys.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key),
            ("AWS_SESSION_TOKEN", keys.session_token),
        ],
        ..source("environment")
    }
}

fn profile(file: &'static str, header: &str) -> Source {
    let keys = keys("profile", 1);
    let text = format!(
        "{header}\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
        keys.access_key_id, keys.secret_access_key, keys.session_token
    );
    Source {
        files: vec![(file, text)],
        ..source("profile")
    }
}

fn process() -> Source {
    let keys = keys("process", 1);
    let answer = format!(
        r#"{{"Version":1,"AccessKeyId":"{}","SecretAccessKey":"{}","SessionToken":"{}","Expiration":"2099-01-01T00:00:00Z"}}"#,
        keys.access_key_id, keys.secret_access_key, keys.session_token
    );
    let profile = "[default]\ncredential_process = cat keys.json\n".to_owned();
    Source {
        files: vec![(".aws/config", profile), ("keys.json", answer)],
        ..source("process")
    }
}

/// `expires` is the cached token's end.
fn sso(stand_in: &StandIn, expires: &str) -> Source {
    let profile = "[default]\nsso_session = exports\nsso_account_id = 111122223333\nsso_role_name = Exporter\n\
         [sso-session exports]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n";
    let token = format!(r#"{{"accessToken":"{SSO_BEARER}","expiresAt":"{expires}"}}"#);
    Source {
        environment: vec![("AWS_ENDPOINT_URL_SSO", stand_in.url(""))],
        files: vec![(".aws/config", profile.to_owned()), (SSO_CACHE, token)],
        asked: Some("GET /federation/credentials?"),
        ..source("sso")
    }
}

fn web_identity(stand_in: &StandIn) -> Source {
    let arn = "arn:aws:iam::111122223333:role/exporter".to_owned();
    Source {
        environment: vec![
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "identity.jwt".to_owned()),
            ("AWS_ROLE_ARN", arn),
            ("AWS_ENDPOINT_URL_STS", stand_in.url("")),
        ],
        files: vec![("identity.jwt", WEB_IDENTITY.to_owned())],
        asked: Some("POST / "),
        ..source("web-identity")
    }
}

fn container(stand_in: &StandIn) -> Source {
    let token = CONTAINER_AUTHORIZATION.to_owned();
    Source {
        environment: vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", stand_in.url("/container")),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", token),
        ],
        asked: Some("GET /container "),
        ..source("container")
    }
}

fn instance(stand_in: &StandIn) -> Source {
    Source {
        environment: vec![
            ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", stand_in.url("")),
        ],
        asked: Some("GET /latest/meta-data/iam/security-credentials/exporter "),
        ..source("instance")
    }
}

/// A role on top of the environment's keys, assumed by the destination or by a profile.
fn roles(stand_in: &StandIn) -> [Source; 2] {
    let arn = "arn:aws:iam::111122223333:role/exporter";
    let own = format!(
        "credentials.role_arn = \"{arn}\"\ncredentials.external_id = \"{EXTERNAL_ID}\"\n\
         credentials.sts_endpoint_url = \"{}\"\n",
        stand_in.url("")
    );
    let base = keys("base", 1);
    let profile = format!(
        "[default]\nrole_arn = {arn}\nexternal_id = {EXTERNAL_ID}\nsource_profile = base\n\
         [profile base]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        base.access_key_id, base.secret_access_key
    );
    [
        Source {
            lines: own,
            asked: Some("POST / "),
            provider: "role",
            ..environment()
        },
        Source {
            environment: vec![("AWS_ENDPOINT_URL_STS", stand_in.url(""))],
            files: vec![(".aws/config", profile)],
            asked: Some("POST / "),
            ..source("role")
        },
    ]
}

/// The destination without keys of its own.
fn keyless(scene: &Scene, lines: &str) -> String {
    program::keyless(scene, "exports", ROWS, lines)
}

/// A folder and an environment in which these sources are set up.
fn program(scene: &Scene, sources: &[Source]) -> Program {
    let lines: String = sources.iter().map(|source| source.lines.as_str()).collect();
    let mut program = Program::new(&keyless(scene, &lines));
    for source in sources {
        for (path, text) in &source.files {
            let path = program.folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("written");
        }
        let variables = source.environment.iter();
        let owned = variables.map(|(name, value)| ((*name).to_owned(), value.clone()));
        program.environment.extend(owned);
    }
    program
}

/// Nothing that was printed or kept, and no object, holds any secret of these tests.
#[track_caller]
fn assert_discreet(program: &Program, scene: &Scene, printed: &Printed) {
    let needle = CANARY.as_bytes();
    let found = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(!found(format!("{printed:?}").as_bytes()), "{printed:?}");
    let state = program.folder.path().join(".batch-export");
    // A run that had no credentials at all did not get as far.
    let mut folders: Vec<_> = state.exists().then_some(state).into_iter().collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let bytes = std::fs::read(entry.path()).expect("a file");
                assert!(!found(&bytes), "{}", entry.path().display());
            }
        }
    }
    for key in scene.store.keys(BUCKET) {
        assert!(!found(&scene.bytes(&key)), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_gives_its_own_keys() {
    let stand_in = StandIn::start(LASTING).await;
    let mut by_file = container(&stand_in);
    by_file.environment[1] = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "authorization".to_owned());
    let token = CONTAINER_AUTHORIZATION.to_owned();
    by_file.files = vec![("authorization", token)];
    let mut chosen = profile(".aws/config", "[profile exports]");
    chosen.environment = vec![("AWS_PROFILE", "exports".to_owned())];
    let mut named = profile("elsewhere/aws", "[profile exports]");
    named.lines = "credentials.profile = \"exports\"\ncredentials.profile_file = \"elsewhere/aws\"\n".to_owned();
    let sources = [
        environment(),
        profile(".aws/credentials", "[default]"),
        chosen,
        named,
        process(),
        sso(&stand_in, "2099-01-01T00:00:00Z"),
        web_identity(&stand_in),
        container(&stand_in),
        by_file,
        instance(&stand_in),
    ];
    let scene = Scene::new().await;
    for source in sources.into_iter().chain(roles(&stand_in)) {
        let (provider, asked) = (source.provider, source.asked);
        let meant = keys(provider, 1);
        scene.store.set_identities(vec![meant.identity()]);
        scene.store.clear_requests();
        let before = stand_in.requests().len();
        let program = program(&scene, &[source]);
        let printed = program.export(&[]);
        assert_eq!(printed.code, Some(0), "{provider}: {printed:?}");
        let requests = scene.store.requests();
        assert!(!requests.is_empty(), "{provider}");
        assert!(
            // 404: keys at which an earlier run may have left a file, and did not.
            requests.iter().all(|r| matches!(r.status, Some(200 | 404))),
            "{provider}: {requests:?}"
        );
        let last = stand_in.requests().split_off(before).pop();
        match asked {
            None => assert_eq!(last, None, "{provider}"),
            Some(line) => assert!(last.is_some_and(|l| l.starts_with(line)), "{provider}"),
        }
        assert_discreet(&program, &scene, &printed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_are_asked_in_their_order() {
    let stand_in = StandIn::start(LASTING).await;
    let scene = Scene::new().await;
    // From the last to the first: each is preferred to all before it.
    let mut set_up = Vec::new();
    for source in [
        instance(&stand_in),
        container(&stand_in),
        web_identity(&stand_in),
        profile(".aws/credentials", "[default]"),
        environment(),
    ] {
        let meant = keys(source.provider, 1);
        scene.store.set_identities(vec![meant.identity()]);
        set_up.push(source);
        let printed = program(&scene, &set_up).export(&[]);
        assert_eq!(printed.code, Some(0), "{}: {printed:?}", meant.access_key_id);
    }
    let meant = keys("configuration", 1);
    scene.store.set_identities(vec![meant.identity()]);
    let program = program(&scene, &set_up);
    let lines = format!(
        "aws_access_key_id = \"{}\"\naws_secret_access_key = \"{}\"\naws_session_token = \"{}\"\n",
        meant.access_key_id, meant.secret_access_key, meant.session_token
    );
    let text = keyless(&scene, "").replace("credentials.source = \"host\"\n", &lines);
    program.configure(&text);
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
}

/// Exit codes: 1 is for a person, 3 may pass.
#[tokio::test(flavor = "multi_thread")]
async fn sources_that_misbehave_are_named_and_nothing_of_them_is_repeated() {
    let refused = Mood::Status("403 Forbidden");
    let broken = Mood::Status("500 Internal Server Error");
    let scene = Scene::new().await;
    let mut running = Vec::new();
    type SetUp = fn(&StandIn) -> Source;
    let role_on_top: SetUp = |stand_in| {
        let [own, _] = roles(stand_in);
        own
    };
    let signed_out: SetUp = |stand_in| sso(stand_in, "2020-01-01T00:00:00Z");
    let signed_in: SetUp = |stand_in| sso(stand_in, "2099-01-01T00:00:00Z");
    let cases: [(SetUp, &Mood, i32, &str); 14] = [
        (container, &Mood::Garbage, 3, "last asked: http://127"),
        (container, &broken, 3, "500"),
        (container, &refused, 3, "403"),
        (container, &Mood::Hangs, 3, "did not respond in time"),
        (instance, &Mood::Garbage, 3, "last asked: http://127"),
        (instance, &broken, 3, "last asked: http://127"),
        (instance, &Mood::Hangs, 3, "instance metadata"),
        (web_identity, &Mood::Garbage, 3, "last asked: http://127"),
        (web_identity, &broken, 3, "last asked: http://127"),
        (signed_in, &Mood::Garbage, 3, "last asked: http://127"),
        (signed_in, &broken, 3, "last asked: http://127"),
        (signed_out, &LASTING, 1, "aws sso login"),
        (role_on_top, &broken, 3, "role/exporter"),
        (role_on_top, &Mood::Garbage, 3, "role/exporter"),
    ];
    for (set_up, mood, code, words) in cases {
        let stand_in = StandIn::start(mood.clone()).await;
        let source = set_up(&stand_in);
        let provider = source.provider;
        let program = program(&scene, &[source]);
        let started = program.start_export("00:00:00", "01:00:00", &[]);
        running.push((provider, stand_in, program, started, code, words));
    }
    for (provider, stand_in, program, started, code, words) in running {
        let printed = started.wait();
        assert_discreet(&program, &scene, &printed);
        assert_eq!(printed.code, Some(code), "{provider}: {printed:?}");
        let way_out = "aws_access_key_id and aws_secret_access_key";
        for words in [words, way_out] {
            assert!(printed.stderr.contains(words), "{provider}: {words}: {printed:?}");
        }
        drop(stand_in);
    }
    assert_eq!(scene.store.requests().len(), 0);
}

/// Credentials may come from an address that the run itself must never reach.
#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_does_not_reach_what_the_host_asks_for_keys() {
    let stand_in = StandIn::start(LASTING).await;
    let scene = Scene::new().await;
    let program = program(&scene, &[container(&stand_in)]);
    let elsewhere = format!("http://localhost:{}", stand_in.address().port());
    let text = keyless(&scene, "").replace(&scene.store.endpoint(), &elsewhere);
    program.configure(&text);
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    assert!(printed.stderr.contains("not public (loopback)"), "{printed:?}");
    assert_eq!(stand_in.issued("container"), 0, "no keys for a refused run");
    assert_eq!(stand_in.requests(), Vec::<String>::new());
    assert_discreet(&program, &scene, &printed);
}

/// Variables that are set, the exit code, and what the error says.
type HalfCase = (&'static [(&'static str, &'static str)], i32, &'static str);

/// What is set up by half is somebody's mistake, and the next source is somebody else's identity.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_up_by_half_is_named_and_the_next_source_is_not_asked() {
    let stand_in = StandIn::start(LASTING).await;
    let scene = Scene::new().await;
    let cases: [HalfCase; 8] = [
        (
            &[("AWS_ACCESS_KEY_ID", "AKID")],
            2,
            "the environment has AWS_ACCESS_KEY_ID, but AWS_SECRET_ACCESS_KEY is not set",
        ),
        (
            &[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "")],
            2,
            "the environment has AWS_ACCESS_KEY_ID, but AWS_SECRET_ACCESS_KEY is empty",
        ),
        (
            &[("AWS_SECRET_ACCESS_KEY", "CANARY")],
            2,
            "the environment has AWS_SECRET_ACCESS_KEY, but AWS_ACCESS_KEY_ID is not set",
        ),
        (
            &[("AWS_SESSION_TOKEN", "CANARY")],
            2,
            "the environment has AWS_SESSION_TOKEN without",
        ),
        (
            &[("AWS_ACCESS_KEY_ID", "AKID\n"), ("AWS_SECRET_ACCESS_KEY", "CANARY")],
            2,
            "AWS_ACCESS_KEY_ID in the environment ends with a line break",
        ),
        (
            &[("AWS_PROFILE", "nope")],
            1,
            "there is no profile `nope` (AWS_PROFILE)",
        ),
        (
            &[("AWS_CONFIG_FILE", "/no/such/file")],
            1,
            "AWS_CONFIG_FILE names the file /no/such/file",
        ),
        (
            &[("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/exporter")],
            1,
            "the environment has AWS_ROLE_ARN, but AWS_WEB_IDENTITY_TOKEN_FILE is not set",
        ),
    ];
    for (variables, code, words) in cases {
        let mut program = program(&scene, &[container(&stand_in)]);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        program.environment.extend(variables.iter().map(owned));
        let printed = program.export(&[]);
        assert_eq!(printed.code, Some(code), "{variables:?}: {printed:?}");
        assert!(printed.stderr.contains(words), "{words}: {printed:?}");
        assert_discreet(&program, &scene, &printed);
    }
    assert_eq!(stand_in.requests(), Vec::<String>::new());
    assert_eq!(scene.store.requests().len(), 0);
}

/// Nothing to assume the role with stays so, however often a scheduler tries again.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_nothing_to_assume_it_with_is_not_worth_retrying() {
    let stand_in = StandIn::start(LASTING).await;
    let scene = Scene::new().await;
    let [mut own, _] = roles(&stand_in);
    own.environment.clear();
    let program = program(&scene, &[own]);
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    for words in ["no credentials: for the role", "role/exporter", "this machine has none"] {
        assert!(printed.stderr.contains(words), "{words}: {printed:?}");
    }
    assert_eq!(stand_in.requests(), Vec::<String>::new());
}

/// What the operator names and is not there is named: for good if it is a file, for now if it is a server.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_named_and_absent_is_named() {
    let scene = Scene::new().await;
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", refusing.local_addr().expect("an address"));
    drop(refusing);
    let variables = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str()),
    ];
    let silent = format!("{endpoint} (which AWS_EC2_METADATA_SERVICE_ENDPOINT names) gave none");
    for (line, variables, code, words) in [
        ("", &variables[..], 3, silent.as_str()),
        (
            "credentials.profile_file = \"nope\"",
            &[],
            1,
            "nope, which profile_file names: no such file or directory (0 attempts)",
        ),
    ] {
        let mut program = Program::new(&keyless(&scene, line));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        program.environment.extend(variables.iter().map(owned));
        let printed = program.export(&[]);
        assert_eq!(printed.code, Some(code), "{words}: {printed:?}");
        assert!(printed.stderr.contains(words), "{words}: {printed:?}");
    }
}

/// The try before the first run, the run and what it cleans up share one answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_its_source_once() {
    let stand_in = StandIn::start(LASTING).await;
    let scene = Scene::new().await;
    scene.store.set_identities(vec![keys("container", 1).identity()]);
    let program = program(&scene, &[container(&stand_in)]);
    program.configure(&keyless(&scene, "").replace("on_request", "automatic"));
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(stand_in.issued("container"), 1);
}
