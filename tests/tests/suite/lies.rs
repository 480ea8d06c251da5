//! Plugins that lie or die, driven by the program as any other: it proves what they report, and cleans up after them.

use batch_export_tests::components;
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::{BUCKET, Scene};
use devstore::{Fault, Operation, What};

const ROWS: usize = 100;

/// A configuration for the guest that does what `attack` says.
fn attacking(scene: &Scene, attack: &str) -> String {
    let fields = format!("attack = \"{attack}\"\nrows = {ROWS}\nkey_style = \"compact\"");
    configuration(scene, "exports", ROWS, &fields)
}

/// One hour through that guest.
fn export(scene: &Scene, attack: &str) -> Printed {
    run(&Program::new(&attacking(scene, attack)))
}

fn run(program: &Program) -> Printed {
    command(program, "run", &[])
}

fn command(program: &Program, command: &str, further: &[&str]) -> Printed {
    let guest = components::guest("hostile");
    let guest = guest.to_str().expect("UTF-8");
    let (start, end) = ("2023-07-28T00:00:00Z", "2023-07-28T01:00:00Z");
    let mut arguments = vec![
        command,
        "--config",
        "exports.toml",
        "--component",
        guest,
        "--start",
        start,
        "--end",
        end,
    ];
    arguments.extend(further);
    program.run(&arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_does_not_match_what_was_supplied_is_a_failure() {
    let scene = Scene::new().await;
    let honest = export(&scene, "none");
    assert_eq!(honest.code, Some(0), "{honest:?}");
    for (attack, words) in [
        ("too-many-rows", "received 101 rows, but the host supplied 100"),
        ("lost-rows", "received 0 rows, but the host supplied 100"),
        ("rows-that-do-not-add-up", "105 as exported"),
        ("no-files", "its files hold 0"),
        ("filters-everything", "omitted 100 of 100 rows as filtered"),
        ("overflowing-rows", "hold more than can be counted"),
        ("overflowing-filter", "adds up to more than can be counted"),
        ("overflowing-bytes", "more bytes than can be counted"),
        ("invented-bytes", "bytes, but sent 8 in total"),
        (
            "invented-requests",
            "reported 2 requests, 0 of them retries, but made 1",
        ),
        ("foreign-file", "is not one of this run's keys"),
        ("foreign-manifest", "but planned none"),
    ] {
        let printed = export(&scene, attack);
        assert_eq!(printed.code, Some(4), "{attack}: {printed:?}");
        assert!(printed.stderr.contains(words), "{attack}: {printed:?}");
        assert!(printed.stderr.contains("do not use the files"), "{printed:?}");
    }
}

/// Which rows are exported is the operator's to say: what the lists omit is counted and told, with this plugin as with
/// any other, and a plugin whose schema calls a list a secret changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn event_lists_are_the_operators_and_what_they_omit_is_told() {
    let scene = Scene::new().await;
    let configuration = attacking(&scene, "none").replace(
        &format!("rows = {ROWS}\n"),
        "rows = 0\nexclude_events = [\"$pageview\"]\n",
    );
    let program = Program::new(&configuration);
    // The guest reports no rows; the host knows how many it supplied.
    let printed = run(&program);
    assert_eq!(printed.code, Some(4), "{printed:?}");
    assert!(printed.stderr.contains("received 0 rows, "), "{printed:?}");
    assert!(!printed.stderr.contains("supplied 100\n"), "{printed:?}");

    // A list that cannot be applied is an error, though this plugin does not look at it.
    let wrong = configuration.replace("[\"$pageview\"]", "\"$pageview\"");
    program.configure(&wrong);
    let printed = run(&program);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    assert!(printed.stderr.contains("exclude_events"), "{printed:?}");
}

/// The host reads back with the operator's keys: it must not become the plugin's deputy.
#[tokio::test(flavor = "multi_thread")]
async fn verify_reads_nothing_but_the_runs_own_keys() {
    let scene = Scene::new().await;
    let secret = "CANARY of another tenant";
    for key in ["secret.json", "exports/secret.json"] {
        let put = scene.store.put_object(BUCKET, key, secret.as_bytes().to_vec(), &[]);
        put.await.expect("seeded");
    }
    for target in [
        "other-bucket/secret.json",
        "secret.json",
        "exports/secret.json",
        "exports/20230728T010000Z-20230728T020000Z.bin",
        "exports/../secret.json",
        "exports/20230728T000000Z-20230728T010000Z/../../secret.json",
    ] {
        for attack in ["verify-deputy", "verify-deputy-by-manifest"] {
            let further = format!("other_origin = \"{target}\"\n");
            let program = Program::new(&(attacking(&scene, attack) + &further));
            let printed = command(&program, "verify", &["--no-source", "--json"]);
            assert_eq!(printed.code, Some(4), "{attack} {target}: {printed:?}");
            assert!(printed.stderr.contains("names the key"), "{target}: {printed:?}");
            assert!(!printed.stdout.contains("CANARY"), "{target}: {printed:?}");
        }
    }
    let asked = scene.store.requests();
    assert!(asked.is_empty(), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_parts_of_nothing_is_refused() {
    let scene = Scene::new().await;
    let program = Program::new(&attacking(&scene, "parts-of-nothing"));
    for verb in ["plan", "run", "verify"] {
        let printed = command(&program, verb, &[]);
        assert_eq!(printed.code, Some(4), "{verb}: {printed:?}");
        assert!(printed.stderr.contains("parts of 0 bytes"), "{printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_that_died_left_open_is_aborted_before_the_program_ends() {
    let scene = Scene::new().await;
    let printed = export(&scene, "open-upload-then-trap");
    assert_eq!(printed.code, Some(4), "{printed:?}");
    assert!(printed.stderr.contains("trapped"), "{printed:?}");
    assert!(printed.stderr.contains("error: plugin "), "it is named: {printed:?}");
    assert_eq!(scene.store.open_uploads(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_cleaned_up_is_told_and_stays_noted_until_it_can() {
    let scene = Scene::new().await;
    let refused = What::Status(403, "AccessDenied".to_owned());
    let no_abort = Fault::on(Operation::AbortMultipartUpload, refused);
    scene.store.set_faults(vec![no_abort]);
    let program = Program::new(&attacking(&scene, "open-upload-then-trap"));
    let printed = run(&program);
    assert_eq!(printed.code, Some(4), "{printed:?}");
    let told = "\nleft open until the next run: ";
    assert!(printed.stderr.contains(told), "{printed:?}");

    program.configure(&attacking(&scene, "none"));
    let printed = run(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let told = "warning: an upload of an earlier attempt is still open: ";
    assert!(printed.stderr.contains(told), "{printed:?}");
    assert_eq!(scene.store.open_uploads().len(), 1);
    assert_eq!(program.runs_kept().len(), 1, "its notes are kept");

    scene.store.set_faults(Vec::new());
    let printed = run(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed
            .stdout
            .contains("\ncleaned up 1 unfinished upload from an earlier run\n  "),
        "{printed:?}"
    );
    assert_eq!(scene.store.open_uploads(), []);
    assert_eq!(program.runs_kept(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_says_cannot_move_a_terminal() {
    let scene = Scene::new().await;
    for attack in ["huge-error", "evil-log-line", "huge-log-line", "flood-log"] {
        let printed = export(&scene, attack);
        let shown = format!("{}{}", printed.stdout, printed.stderr);
        let controls = shown.contains(|c: char| c.is_control() && c != '\n');
        assert!(!controls, "{attack}: {shown:.300?}");
        assert!(!shown.lines().any(|line| line.starts_with('{')), "{attack}");
    }
}
