//! `batch-export check` against a store: what it tries, what it says, and that nothing of it stays.

use batch_export_tests::components;
use batch_export_tests::loopback::Server;
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};
use devstore::{Fault, Identity, Operation, Permission, What};
use serde_json::Value;

fn check(program: &Program) -> Printed {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    program.run(&["check", "--config", "exports.toml", "--component", component, "--json"])
}

/// `name: outcome` of every step, and what each says, with its hint, by name.
fn steps(printed: &Printed) -> (Vec<String>, Value) {
    let steps: Value = serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("{error}: {printed:?}"));
    let list = steps["steps"].as_array().expect("steps").iter();
    let words = |step: &Value, field: &str| step[field].as_str().expect("text").to_owned();
    let details = list.clone().map(|step| {
        let told = Value::from_iter([step["detail"].clone(), step["hint"].clone()]);
        (words(step, "name"), told)
    });
    (
        list.clone()
            .map(|step| format!("{}: {}", words(step, "name"), words(step, "outcome")))
            .collect(),
        Value::Object(details.collect()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_works_passes_every_step_and_keeps_nothing() {
    let scene = Scene::new().await;
    let printed = check(&Program::new(&configuration(&scene, "exports", 1, "")));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let (outcomes, _) = steps(&printed);
    assert_eq!(
        outcomes,
        [
            "reach: passed",
            "write: passed",
            "read: passed",
            "begin upload: passed",
            "write part: passed",
            "abort upload: passed",
            "delete: passed"
        ]
    );
    assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
    assert_eq!(scene.store.open_uploads(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_may_only_write_are_enough() {
    let scene = Scene::new().await;
    let only_write = Identity::new(ACCESS_KEY, SECRET_KEY).with_permission(Permission::WriteOnly);
    scene.store.set_identities(vec![only_write]);
    let printed = check(&Program::new(&configuration(&scene, "exports", 1, "")));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let (outcomes, details) = steps(&printed);
    for expected in [
        "write: passed",
        "read: skipped",
        "begin upload: passed",
        "abort upload: passed",
        "delete: skipped",
    ] {
        assert!(outcomes.iter().any(|o| o == expected), "{outcomes:?}");
    }
    assert!(details["read"].to_string().contains("grant s3:GetObject on "));
    assert!(details["delete"].to_string().contains("grant s3:DeleteObject on "));
    assert_eq!(scene.store.open_uploads(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_names_its_likely_cause() {
    let denied = |operation| {
        let what = What::Status(403, "AccessDenied".to_owned());
        vec![Fault::on(operation, what)]
    };
    let signature = |fields: &str| (Vec::new(), fields.to_owned());
    let cases = [
        (signature("region = \"eu-west-1\""), "reach", "us-east-1"),
        (
            signature("aws_secret_access_key = \"wrong\""),
            "write",
            "aws_secret_access_key",
        ),
        (signature("bucket_name = \"no-such-bucket\""), "write", "no-such-bucket"),
        ((denied(Operation::PutObject), String::new()), "write", "s3:PutObject"),
        (
            (denied(Operation::AbortMultipartUpload), String::new()),
            "abort upload",
            "s3:AbortMultipartUpload",
        ),
    ];
    for ((faults, line), step, words) in cases {
        let scene = Scene::new().await;
        scene.store.set_faults(faults);
        let good = configuration(&scene, "exports", 1, "");
        let field = line.split(' ').next().unwrap_or_default();
        let lines = good.lines().map(|old| {
            let replaced = !field.is_empty() && old.starts_with(field);
            if replaced { line.as_str() } else { old }
        });
        let text: Vec<&str> = lines.collect();
        let printed = check(&Program::new(&text.join("\n")));
        assert_eq!(printed.code, Some(1), "{line}: {printed:?}");
        let (outcomes, details) = steps(&printed);
        let failed = format!("{step}: failed");
        assert!(outcomes.contains(&failed), "{line}: {outcomes:?} {details}");
        let detail = details[step].to_string();
        assert!(detail.contains(words), "{line}: {detail}");
    }
}

/// Whoever asks the store, plugin or host, passes on how long it asks to wait, and a store that answers is not called
/// unreachable.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_tells_how_long_the_store_asks_to_wait() {
    let scene = Scene::new().await;
    let busy = Server::answering("429 Too Many Requests", "retry-after: 99999\r\n".to_owned()).await;
    let text = configuration(&scene, "exports", 1_000, "");
    let asked = text.replace(&scene.store.address().to_string(), &busy.address.to_string());
    let unasked = asked.replace("check = \"on_request\"\n", "");
    let hour = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];
    for (command, text, further) in [
        ("check", &asked, &[][..]),
        ("run", &unasked, &hour),
        ("run", &asked, &hour),
        ("verify", &asked, &hour),
    ] {
        let component = components::destination();
        let component = component.to_str().expect("UTF-8");
        let arguments = [command, "--config", "exports.toml", "--component", component, "--json"];
        let printed = Program::new(text).run(&[&arguments, further].concat());
        assert_eq!(printed.code, Some(3), "{command}: {printed:?}");
        let found: Value = serde_json::from_str(&printed.stdout).expect("JSON");
        assert_eq!(found["error"]["retry_after_ms"], 99_999_000, "{command}: {found}");
        let told = found.to_string();
        assert!(told.contains("the store asks to wait 99,999 s"), "{command}: {told}");
        assert!(!told.contains("start the store"), "{command}: {told}");
        if command == "check" {
            assert_eq!(found["steps"][0]["retry_after_ms"], 99_999_000, "{found}");
            assert_eq!(found["steps"][1]["detail"], "the first step failed", "{found}");
        }
    }
}

/// The plugin speaks to the store in `check`, the host itself in `verify`: one refusal, one way out.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_verify_give_the_same_hint_for_the_same_refusal() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene, "exports", 1_000, ""));
    let exported = program.export(&[]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    for (status, code) in [
        (301, "PermanentRedirect"),
        (307, "TemporaryRedirect"),
        (400, "AuthorizationHeaderMalformed"),
        (400, "ExpiredToken"),
        (400, "IllegalLocationConstraintException"),
        (400, "InvalidBucketName"),
        (400, "InvalidToken"),
        (400, "KMS.DisabledException"),
        (403, "AccessDenied"),
        (403, "AccountProblem"),
        (403, "AllAccessDisabled"),
        (403, "Forbidden"),
        (403, "InvalidAccessKeyId"),
        (403, "InvalidClientTokenId"),
        (403, "RequestTimeTooSkewed"),
        (403, "SignatureDoesNotMatch"),
        (404, "NoSuchBucket"),
        (405, "MethodNotAllowed"),
    ] {
        let what = What::Status(status, code.to_owned());
        scene.store.set_faults(vec![Fault::on(Operation::GetObject, what)]);
        let checked = check(&program);
        let (_, details) = steps(&checked);
        // A step that was skipped for want of a permission says what to grant in its detail.
        let told = details["read"].to_string();
        let verified = program.run(&[
            "verify",
            "--config",
            "exports.toml",
            "--component",
            component,
            "--json",
            "--start",
            "2023-07-28T00:00:00Z",
            "--end",
            "2023-07-28T01:00:00Z",
        ]);
        let found: Value = serde_json::from_str(&verified.stdout).expect("JSON");
        let hint = found["error"]["hint"].as_str().unwrap_or_default();
        // The permission is that of each one's own object.
        let (hint, told) = match code {
            "AccessDenied" | "Forbidden" => (hint.split(" on `").next().unwrap_or_default(), told),
            _ => (hint, told),
        };
        assert!(
            !hint.is_empty() && told.contains(&serde_json::json!(hint).to_string().trim_matches('"').to_owned()),
            "{status} {code}: verify says {hint}, check says {told}"
        );
    }
}
