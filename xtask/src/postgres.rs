//! A PostgreSQL server for tests and benches: Debian's, on loopback, in a folder of its own, as a user without rights.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, say};
use crate::setup;

/// Where Debian keeps the programs of each version.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";
/// What is needed of them.
const PROGRAMS: [&str; 4] = ["initdb", "pg_isready", "postgres", "psql"];
/// Users that a server may run as where this command runs as root, which PostgreSQL refuses.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// The time in which a server starts.
const START_TIME: Duration = Duration::from_secs(60);
/// Who may come how. The tests make the users.
const ACCESS: &str = "local all all trust
hostssl all certified 127.0.0.1/32 cert
host all secretive 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
";

/// Finds the server's programs, or installs them.
pub fn programs() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if setup::can_apt() {
        say("installing postgresql with apt-get");
        setup::apt_install(&["postgresql"])?;
    }
    find().context(
        "the programs of PostgreSQL (`initdb`, `postgres`, `psql`) are not there. On Debian and Ubuntu:\n\n    \
         sudo apt-get install -y postgresql\n\nthen run the same command again",
    )
}

/// Looks for one folder with all programs: Debian's newest, or one that the shell finds.
fn find() -> Option<PathBuf> {
    let version = |folder: &Path| folder.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let debian = fs::read_dir(DEBIAN_FOLDER).into_iter().flatten().flatten();
    let debian = debian
        .map(|version| version.path().join("bin"))
        .filter(|folder| has_all(folder));
    debian.max_by_key(|folder| version(folder)).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| has_all(folder))
    })
}

fn has_all(folder: &Path) -> bool {
    PROGRAMS.iter().all(|program| folder.join(program).is_file())
}

/// Who the server runs as.
pub struct Owner {
    pub name: String,
    is_other: bool,
}

impl Owner {
    fn find() -> Result<Self> {
        let name = process::read(Command::new("id").arg("-un"))?.trim().to_owned();
        if process::read(Command::new("id").arg("-u"))?.trim() != "0" {
            return Ok(Self { name, is_other: false });
        }
        let there = USERS
            .iter()
            .find(|user| process::read(Command::new("id").args(["-u", user])).is_ok());
        let name = there.context("PostgreSQL does not run as root, and there is no user `nobody`")?;
        Ok(Self {
            name: (*name).to_owned(),
            is_other: true,
        })
    }

    /// A program that runs as this user.
    fn command(&self, program: &Path) -> Command {
        if !self.is_other {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", self.name))
            .arg(format!("--regid={}", self.name))
            .arg("--clear-groups");
        if self.name == "nobody" {
            command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        }
        command.arg(program);
        command
    }

    fn own(&self, folder: &Path) -> Result<()> {
        match self.is_other {
            true => process::run(Command::new("chown").arg(&self.name).arg(folder)),
            false => Ok(()),
        }
    }
}

/// A running server. It ends when this is dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    pub sockets: PathBuf,
    pub owner: Owner,
}

impl Server {
    pub fn start(programs: &Path, folder: &Path) -> Result<Self> {
        let owner = Owner::find()?;
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        // The path of a socket has room for a hundred bytes; a target folder may be longer.
        let sockets = std::env::temp_dir().join(format!("batch-export-postgres-{}", std::process::id()));
        for made in [folder, &sockets] {
            fs::create_dir_all(made).with_context(|| format!("cannot make {}", made.display()))?;
            owner.own(made)?;
        }
        let data = folder.join("data");
        process::run(
            owner
                .command(&programs.join("initdb"))
                .args([
                    "--username=admin",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                ])
                .args(["--no-sync", "--no-instructions", "--pgdata"])
                .arg(&data)
                .stdout(Stdio::null()),
        )?;
        fs::write(data.join("pg_hba.conf"), ACCESS)?;
        owner.own(&data.join("pg_hba.conf"))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs::File::create(folder.join("log"))?;
        let child = owner
            .command(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&sockets)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")])
            // What a test wrote need not survive the machine.
            .args([
                "-c",
                "fsync=off",
                "-c",
                "full_page_writes=off",
                "-c",
                "max_wal_size=4GB",
            ])
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start `postgres`")?;
        let mut server = Self {
            child,
            port,
            sockets,
            owner,
        };
        server.wait(programs, folder)?;
        Ok(server)
    }

    fn wait(&mut self, programs: &Path, folder: &Path) -> Result<()> {
        let begun = Instant::now();
        loop {
            let mut asked = Command::new(programs.join("pg_isready"));
            asked.arg("-h").arg(&self.sockets).args(["-p", &self.port.to_string()]);
            if process::read(&mut asked).is_ok() {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() || begun.elapsed() > START_TIME {
                bail!("PostgreSQL does not start; {} says why", folder.join("log").display());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT ends it at once, with its connections, but in order.
        Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status()
            .ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.sockets).ok();
    }
}
