//! Runs that end while something does not answer: the store, the process that reads files, the plugin. Each ends within
//! a second of being cancelled, and says whether it was cancelled or its time was up.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use batch_export_tests::components;
use batch_export_tests::program::{Program, Running, configuration};
use batch_export_tests::scene::{BUCKET, Scene};
use devstore::{Fault, Operation, What};

/// The promise is a second. What is measured here is a process from its signal to its exit, on two processors that
/// other tests use too: a shell that sends the signal and a runtime that shuts down (0.2 s) are counted in. From the
/// cancellation to the return, `tokens.rs` measures.
const PATIENCE: Duration = Duration::from_secs(2);
const LIMIT: &str = "limits.run_time_s = 2\n";

/// Who does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silent {
    Store,
    SourceProcess,
    Plugin,
}

const SILENT: [Silent; 3] = [Silent::Store, Silent::SourceProcess, Silent::Plugin];

fn program(scene: &Scene, silent: Silent, limit: &str) -> Program {
    let configuration = match silent {
        Silent::Store => configuration(scene, "archive", 60_000, limit),
        Silent::Plugin => {
            let attack = "attack = \"loop-in-encode-batch\"\nrows = 1000\nkey_style = \"compact\"";
            let fields = format!("{attack}\n{limit}");
            configuration(scene, "archive", 1_000, &fields)
        }
        Silent::SourceProcess => {
            let source = "source = { type = \"sample\", rows_per_hour = 1 }";
            let files = "source = { type = \"files\", path = \"rows.jsonl\", time_column = \"at\" }";
            configuration(scene, "archive", 1, limit)
                .replace(source, files)
                .replace("model = \"events\"", "model = \"own\"\ncustom_model = true")
        }
    };
    let program = Program::new(&configuration);
    if silent == Silent::SourceProcess {
        let mut rows = String::new();
        for number in 0..400_000 {
            writeln!(rows, r#"{{"at":"2023-07-28T00:00:01Z","number":{number}}}"#).expect("text");
        }
        fs::write(program.folder.path().join("rows.jsonl"), rows).expect("written");
    }
    program
}

/// Starts a run, and returns once it waits for whoever does not answer.
async fn waiting(scene: &Scene, program: &Program, silent: Silent) -> Running {
    scene.store.set_faults(match silent {
        Silent::Store => vec![Fault::on(Operation::UploadPart, What::Hang)],
        _ => Vec::new(),
    });
    let mut running = match silent {
        Silent::Plugin => {
            let guest = components::guest("hostile");
            let guest = guest.to_str().expect("UTF-8");
            program.start_run(guest, "00:00:00", "01:00:00", &[])
        }
        _ => program.start_export("00:00:00", "01:00:00", &[]),
    };
    loop {
        let is_waiting = match silent {
            Silent::Store => {
                let requests = scene.store.requests();
                let mut parts = requests.iter().map(|request| request.operation);
                parts.any(|operation| operation == Operation::UploadPart)
            }
            Silent::SourceProcess => stopped_reader(running.id()),
            // It computes as soon as it has a batch, which is told by the time on processors.
            Silent::Plugin => processor_ticks(running.id()) > 60,
        };
        if is_waiting {
            return running;
        }
        assert!(running.is_running(), "it ended too early: {:?}", running.wait());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Stops the child that reads files, if there is one already: it holds its pipes open and says nothing more.
fn stopped_reader(parent: u32) -> bool {
    let Some(child) = reader_of(parent) else {
        return false;
    };
    let status = Command::new("sh").args(["-c", &format!("kill -STOP {child}")]).status();
    status.expect("a shell").success()
}

fn reader_of(parent: u32) -> Option<u32> {
    fs::read_dir("/proc")
        .expect("Linux")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            status.contains(&format!("\nPPid:\t{parent}\n")) && command.contains("read-files")
        })
}

/// Hundredths of a second that a process has computed.
fn processor_ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let user = fields.get(11).and_then(|ticks| ticks.parse().ok());
    user.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_within_a_second_whoever_does_not_answer() {
    for silent in SILENT {
        let scene = Scene::new().await;
        let program = program(&scene, silent, "");
        let running = waiting(&scene, &program, silent).await;
        let (id, begun) = (running.id(), Instant::now());
        running.interrupt();
        let printed = running.wait();
        let took = begun.elapsed();
        assert_eq!(printed.code, Some(130), "{silent:?}: {printed:?}");
        assert!(printed.stderr.contains("interrupted"), "{silent:?}: {printed:?}");
        assert!(took < PATIENCE, "{silent:?} took {took:?}");
        assert_eq!(reader_of(id), None, "{silent:?}");
        assert_eq!(scene.store.open_uploads(), [], "{silent:?}");
        assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new(), "{silent:?}");
        assert_eq!(program.runs_kept(), Vec::<String>::new(), "{silent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_time_is_up_says_so_whoever_does_not_answer() {
    for silent in SILENT {
        let scene = Scene::new().await;
        let program = program(&scene, silent, LIMIT);
        let running = waiting(&scene, &program, silent).await;
        let printed = running.wait();
        assert_eq!(printed.code, Some(1), "{silent:?}: {printed:?}");
        let said = "the run took longer than 2 s";
        assert!(printed.stderr.contains(said), "{silent:?}: {printed:?}");
        assert_eq!(scene.store.open_uploads(), [], "{silent:?}");
        assert_eq!(program.runs_kept(), Vec::<String>::new(), "{silent:?}");
    }
}
