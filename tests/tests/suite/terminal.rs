//! What plugins, sources and stores say reaches a terminal as text: nothing of it moves the cursor, turns the direction
//! of what stands beside it, or hides; in JSON it is escaped and means the same.

use batch_export_system::terminal::is_harmful;
use batch_export_tests::components;
use batch_export_tests::loopback::Server;
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::Scene;

/// Clears the screen, fakes a line, turns the direction, colours by C1, joins without width.
const EVIL: &str = "\u{1b}[2Jevil\n\u{202e}forged\u{9b}31m\u{200b}";

/// As `cat -v` would: line breaks are the program's own, and nothing else is a control.
#[track_caller]
fn assert_tame(what: &str, printed: &Printed) {
    for text in [&printed.stdout, &printed.stderr] {
        let found = text.chars().find(|c| *c != '\n' && is_harmful(*c));
        assert_eq!(found, None, "{what}: {printed:?}");
        // What stands behind the line break that is not the program's own.
        let mut lines = text.lines().map(str::trim_start);
        let forged = lines.any(|line| line.starts_with("\\u{202e}forged"));
        assert!(!forged, "{what}: {printed:?}");
    }
    let both = format!("{}{}", printed.stdout, printed.stderr);
    assert!(both.contains("evil"), "{what} does not say it at all: {printed:?}");
}

fn guest(name: &str) -> String {
    components::guest(name).display().to_string()
}

/// The scene's destination, fed by files.
fn from_files(scene: &Scene, path: &str) -> String {
    let text = configuration(scene, "exports", 1, "").replace("\"events\"", "\"orders\"");
    let source = format!("source = {{ type = \"files\", path = \"{path}\", infer_rows = 1 }}\n");
    let lines = text.lines().map(|line| match line.starts_with("source") {
        true => source.clone(),
        false => format!("{line}\n"),
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_reaches_a_terminal_as_text() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene, "exports", 1, ""));

    // A plugin's formats and schema.
    let evil = guest("describe-evil");
    assert_tame("inspect", &program.run(&["inspect", &evil]));
    let printed = program.run(&["inspect", &evil, "--json"]);
    assert_tame("inspect --json", &printed);
    let json: serde_json::Value = serde_json::from_str(&printed.stdout).expect("JSON");
    let name = json["description"]["formats"][0]["name"].as_str().expect("a name");
    assert!(name.contains("\u{1b}[2Jevil\n\u{202e}forged"), "{name:?}");

    // The requests of its plan.
    let text = configuration(&scene, "exports", 1, "attack = \"evil-plan\"");
    program.configure(&text.replace("prefix = \"exports/\"", "prefix = \"evil/\""));
    let hostile = guest("hostile");
    let span = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];
    let arguments = ["plan", "--config", "exports.toml", "--component", &hostile];
    assert_tame("plan", &program.run(&[&arguments[..], &span].concat()));
    let json = [&arguments[..], &span, &["--json"]].concat();
    assert_tame("plan --json", &program.run(&json));

    // A column's name in one row, and the name of a file.
    let folder = program.folder.path();
    std::fs::create_dir(folder.join("in")).expect("a folder");
    let plain = serde_json::json!({ "_inserted_at": "2023-07-28T00:10:00Z" });
    let row = serde_json::json!({ EVIL: 1, "_inserted_at": "2023-07-28T00:10:00Z" });
    std::fs::write(folder.join("in/a.jsonl"), format!("{plain}\n{row}\n")).expect("written");
    program.configure(&from_files(&scene, "in/*"));
    assert_tame("a column", &program.export(&[]));
    std::fs::remove_file(folder.join("in/a.jsonl")).expect("removed");
    std::fs::write(folder.join(format!("in/{EVIL}.jsonl")), "[1]\n").expect("written");
    assert_tame("a file", &program.export(&[]));

    // What the operator gives is quoted in errors as well; its line breaks are theirs.
    let given = EVIL.replace('\n', " ");
    assert_tame("a component", &program.run(&["inspect", &given]));
    assert_tame("an argument", &program.run(&[&given]));
}

/// What a store answers, to the plugin and to `verify`.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_says_reaches_a_terminal_as_text() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene, "exports", 1, ""));
    assert_eq!(program.export(&[]).code, Some(0));
    let liar = Server::serve(|mut stream, _| async move {
        use tokio::io::AsyncWriteExt;
        let body = format!("<Error><Code>{EVIL}</Code><Message>{EVIL}</Message></Error>").replace('\u{1b}', "&#27;");
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        // A client that goes away in the middle is its own business.
        drop(stream.write_all((head + &body).as_bytes()).await);
    })
    .await;
    let text = configuration(&scene, "exports", 1, "");
    let address = scene.store.address().to_string();
    program.configure(&text.replace(&address, &liar.address.to_string()));
    assert_tame("run", &program.export(&[]));
    let component = components::destination().display().to_string();
    let arguments = [
        "verify",
        "--config",
        "exports.toml",
        "--component",
        &component,
        "--start",
        "2023-07-28T00:00:00Z",
        "--end",
        "2023-07-28T01:00:00Z",
        "--no-source",
    ];
    let printed = program.run(&arguments);
    assert!(
        !printed.stderr.contains('\u{1b}') && !printed.stderr.contains('\u{202e}'),
        "{printed:?}"
    );
    assert_eq!(printed.code, Some(1), "{printed:?}");
}
