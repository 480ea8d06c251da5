//! Services as users of libpq name them: sections of `~/.pg_service.conf`, each with the parameters of a connection.

use std::path::Path;

use batch_export_system::explain::Cause;

use super::password::{in_home, read};
use super::settings::PostgresServer;

/// The file in the home folder.
const DEFAULT_FILE: &str = ".pg_service.conf";

/// Returns what a service says.
pub(super) fn look_up(named: Option<&Path>, service: &str) -> Result<PostgresServer, Cause> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => in_home(DEFAULT_FILE).ok_or_else(|| {
            Cause::new(format!(
                "the service `{service}` cannot be looked up: there is no home folder"
            ))
            .with_hint("set service_file")
        })?,
    };
    let wrong = |cause: Cause| cause.map(|what| format!("the file of services {}: {what}", path.display()));
    let text = read(&path).map_err(wrong)?;
    section(&text, service).map_err(wrong)
}

fn section(text: &str, service: &str) -> Result<PostgresServer, Cause> {
    let mut server = None;
    let mut is_inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            // As libpq: the first section of a name counts.
            is_inside = name == service && server.is_none();
            if is_inside {
                server = Some(PostgresServer::default());
            }
            continue;
        }
        let Some(server) = server.as_mut().filter(|_| is_inside) else {
            continue;
        };
        let in_line = |cause: Cause| cause.map(|what| format!("line {number}: {what}"));
        let Some((name, value)) = line.split_once('=') else {
            return Err(in_line(Cause::new("there is no `=`").with_hint("write name=value")));
        };
        match name.trim() {
            "service" => {
                return Err(in_line(
                    Cause::new("a service cannot name another").with_hint("remove the line"),
                ));
            }
            name => server.set(name, value.trim()).map_err(in_line)?,
        }
    }
    server.ok_or_else(|| {
        Cause::new(format!("it has no service `{service}`")).with_hint("correct the name, or add the section")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::settings::SslMode;

    #[test]
    fn a_service_is_its_section() {
        let text = "# ours\n[test]\nhost=test\n\n[sales]\nhost = db\nport=6432\ndbname=sales\nuser=reader\n\
                    password=a=b\nsslmode=verify-ca\n[sales]\nhost=second\n";
        let server = section(text, "sales").expect("a section");
        assert_eq!(server.host.as_deref(), Some("db"));
        assert_eq!(server.port, Some(6432));
        assert_eq!(server.sslmode, Some(SslMode::VerifyCa));
        assert_eq!(server.password.as_ref().map(|password| password.expose()), Some("a=b"));
        assert_eq!(section(text, "test").expect("a section").port, None);
    }

    #[test]
    fn what_is_wrong_with_a_service_is_said_with_its_line_and_without_its_password() {
        for (text, expect) in [
            ("[a]\nhost=x\n", "it has no service `sales`"),
            ("[sales]\nhost\n", "line 2: there is no `=`"),
            ("[sales]\nhots=db\n", "line 2: its parameter `hots` is not known"),
            (
                "[sales]\npassword=hunter2\nsslmode=prefer\n",
                "line 3: sslmode `prefer` is not accepted",
            ),
            ("[sales]\nservice=other\n", "line 2: a service cannot name another"),
        ] {
            let cause = section(text, "sales").expect_err(text);
            assert!(cause.to_string().starts_with(expect), "{cause}");
            assert!(!cause.in_one_text().contains("hunter"));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("none");
        let cause = look_up(Some(&path), "sales").expect_err("not there");
        assert!(cause.to_string().contains("cannot be read"), "{cause}");
    }
}
