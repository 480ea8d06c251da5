//! The program `batch-export` as a user runs it: a folder, a configuration file, arguments, and what it printed.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use batch_export_runner::State;
use batch_export_service::ledger::Ledger;
use tempfile::TempDir;

use crate::components;
use crate::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};

/// A configuration file with one events destination at the scene's store, fed by the sample source; `fields` are
/// further lines of it. Runs make no check of their own, so that a test's faults meet the run.
pub fn configuration(scene: &Scene, name: &str, rows_per_hour: usize, fields: &str) -> String {
    format!(
        r#"[destinations.{name}]
model = "events"
bucket_name = "{BUCKET}"
region = "us-east-1"
prefix = "{name}/"
endpoint_url = "{}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
source = {{ type = "sample", rows_per_hour = {rows_per_hour} }}
check = "on_request"
egress.allow_private = ["{}"]
{fields}
"#,
        scene.store.endpoint(),
        scene.store.address()
    )
}

/// The same without keys of its own: it signs with what the machine has, and asks for that by name.
pub fn keyless(scene: &Scene, name: &str, rows_per_hour: usize, fields: &str) -> String {
    let text = configuration(scene, name, rows_per_hour, fields);
    let kept = text.lines().filter(|line| !line.starts_with("aws_"));
    let lines = kept.chain(["credentials.source = \"host\""]);
    lines.map(|line| format!("{line}\n")).collect()
}

/// A folder with a configuration file, in which the program is run.
pub struct Program {
    pub folder: TempDir,
    /// Variables that it is started with, besides the test's own without all that is AWS's or says where certificates
    /// are.
    pub environment: Vec<(String, String)>,
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Printed {
    /// Absent when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The program under way. Killed when dropped, so that a failing test leaves none behind.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Program {
    /// A folder with this configuration in `exports.toml`.
    pub fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = Program {
            folder,
            environment: Vec::new(),
        };
        program.configure(configuration);
        program
    }

    /// Replaces the configuration.
    pub fn configure(&self, configuration: &str) {
        std::fs::write(self.folder.path().join("exports.toml"), configuration).expect("written");
    }

    /// Runs it with these arguments to its end.
    pub fn run(&self, arguments: &[&str]) -> Printed {
        self.start(arguments).wait()
    }

    /// Starts it with these arguments; nothing of the test's own environment that could carry credentials reaches it.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(executable());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("AWS_") || text.starts_with("SSL_CERT_") {
                command.env_remove(&name);
            }
        }
        command.env_remove("BATCH_EXPORT_CONFIG");
        // Neither the user's own profiles nor the metadata of the machine that the tests run on.
        command
            .env("HOME", self.folder.path())
            // Compiling the component again for each test would take the suite's time.
            .env("XDG_CACHE_HOME", cache())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().map(collected);
        let stderr = child.stderr.take().map(collected);
        Running { child, stdout, stderr }
    }

    /// `run` over the first hour of the tests, with the shipped component.
    pub fn export(&self, further: &[&str]) -> Printed {
        self.start_export("00:00:00", "01:00:00", further).wait()
    }

    /// `run` over a piece of the tests' first day, with the shipped component.
    pub fn start_export(&self, from: &str, to: &str, further: &[&str]) -> Running {
        let component = components::destination();
        self.start_run(component.to_str().expect("UTF-8"), from, to, further)
    }

    /// The same with another component.
    pub fn start_run(&self, component: &str, from: &str, to: &str, further: &[&str]) -> Running {
        let (start, end) = (format!("2023-07-28T{from}Z"), format!("2023-07-28T{to}Z"));
        let mut arguments = vec!["run", "--config", "exports.toml", "--component", component];
        arguments.extend(["--start", &start, "--end", &end]);
        arguments.extend(further);
        self.start(&arguments)
    }

    /// The runs of which the program keeps notes; empty when all ended in order.
    pub fn runs_kept(&self) -> Vec<String> {
        let left = self.ledger().state().leftovers().expect("a list");
        left.runs.into_iter().map(|run| run.id).collect()
    }

    /// The ledger next to its configuration.
    pub fn ledger(&self) -> Ledger {
        Ledger::open(&self.folder.path().join(".batch-export")).expect("a ledger")
    }
}

impl Running {
    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal by its short name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: not every machine has the program.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("a shell");
        assert!(status.success(), "the signal was not sent");
    }

    /// Sends SIGKILL: no instruction of the program runs after it.
    pub fn kill(mut self) -> Printed {
        self.child.kill().expect("it can be killed");
        self.wait()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Printed {
        let status = self.child.wait().expect("a child");
        let text = |reader: Option<JoinHandle<String>>| reader.expect("a pipe").join().expect("a reader");
        Printed {
            code: status.code(),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is what most tests want.
        if self.is_running() {
            self.child.kill().expect("it can be killed");
            self.child.wait().expect("a child");
        }
    }
}

/// What the program takes for the user's cache folder: one for all tests.
pub fn cache() -> PathBuf {
    components::guest("hostile").with_file_name("cache")
}

/// Reads a pipe on a thread of its own, so that a full one never blocks the program.
fn collected(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("UTF-8");
        text
    })
}

/// The program that cargo built beside this test.
fn executable() -> PathBuf {
    if let Some(path) = std::env::var_os("BATCH_EXPORT_PROGRAM") {
        return path.into();
    }
    let test = std::env::current_exe().expect("this test's own path");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/<profile>/deps/");
    let program = profile.join("batch-export");
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build --workspace --bin batch-export`",
        program.display()
    );
    program
}
