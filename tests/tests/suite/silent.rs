//! What an operator reads while a store does not answer, or answers what no store would: never nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use batch_export_tests::components;
use batch_export_tests::program::{Program, Running, configuration};
use batch_export_tests::scene::Scene;
use devstore::{Fault, Operation, What};

/// How long nothing is said, and what a machine adds that does six things at once.
const SILENCE: Duration = Duration::from_secs(10 + 5);

fn start(program: &Program, command: &str) -> Running {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let mut arguments = vec![command, "--config", "exports.toml", "--component", component];
    if command != "check" {
        arguments.extend(["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"]);
    }
    program.start(&arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_store_says_so() {
    let scene = Scene::new().await;
    let hang = |operation| Fault::on(operation, What::Hang);
    scene
        .store
        .set_faults(vec![hang(Operation::HeadObject), hang(Operation::PutObject)]);
    let program = Program::new(&configuration(&scene, "archive", 10, ""));
    let commands = ["check", "verify", "run"];
    let running: Vec<Running> = commands.iter().map(|command| start(&program, command)).collect();
    tokio::time::sleep(SILENCE).await;
    for (command, running) in commands.into_iter().zip(running) {
        running.interrupt();
        let printed = running.wait();
        let operation = if command == "run" { "PutObject" } else { "HeadObject" };
        let said = format!(
            "waiting for {}: no response to {operation} for 1",
            scene.store.address()
        );
        assert_eq!(printed.stderr.matches(&said).count(), 1, "{command}: {printed:?}");
        assert_eq!(printed.code, Some(130), "{command}: {printed:?}");
    }
}

/// Answers every request with a web page.
fn web_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let page = "<!DOCTYPE html><html><body>It works!</body></html>";
    let mut seen = Vec::new();
    let mut buffer = [0; 64 << 10];
    while let Ok(count) = stream.read(&mut buffer)
        && count > 0
    {
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let shown = if head.starts_with("HEAD") { "" } else { page };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\netag: \"page\"\r\ncontent-length: {}\r\n\r\n{shown}",
            page.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        seen.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_in_place_of_a_store_is_found_out_at_once() {
    let scene = Scene::new().await;
    let address = web_server();
    let text = configuration(&scene, "archive", 60_000, "").replace(&scene.store.address().to_string(), &address);
    let program = Program::new(&text.replace("check = \"on_request\"\n", ""));
    for command in ["check", "run", "run", "verify"] {
        let begun = Instant::now();
        let printed = start(&program, command).wait();
        let took = begun.elapsed();
        assert_eq!(printed.code, Some(1), "{command}: {printed:?}");
        let all = format!("{}{}", printed.stdout, printed.stderr)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let said = format!("the server at http://{address} does not respond like S3");
        assert!(
            all.contains(&said) && all.contains("check endpoint_url"),
            "{command}: {printed:?}"
        );
        assert!(took < Duration::from_secs(10), "{command} took {took:?}");
    }
}
