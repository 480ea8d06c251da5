//! Passwords where users of libpq keep them: `~/.pgpass`, one line for each place, which nobody else may read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use batch_export_system::Secret;
use batch_export_system::explain::{Cause, plain};

/// The file in the home folder.
const DEFAULT_FILE: &str = ".pgpass";
/// What a file of passwords takes at most.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;
/// What others may do with a file.
const OTHERS: u32 = 0o077;
/// What stands for any value of a field.
const ANY: &str = "*";
/// The name under which Unix sockets are found, besides their folder's.
const LOCALHOST: &str = "localhost";

/// Who asks where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub host: &'a str,
    pub port: u16,
    pub database: &'a str,
    pub user: &'a str,
}

/// Returns the password for a place: from the file that is named, or else from the one in the home folder, if any.
pub(super) fn look_up(named: Option<&Path>, place: Place<'_>) -> Result<Option<Secret>, Cause> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => match in_home(DEFAULT_FILE) {
            Some(path) if path.is_file() => path,
            _ => return Ok(None),
        },
    };
    let wrong = |cause: Cause| cause.map(|what| format!("the file of passwords {}: {what}", path.display()));
    check_private(&path).map_err(wrong)?;
    let text = read(&path).map_err(wrong)?;
    Ok(text.lines().find_map(|line| password(line, place)))
}

/// Returns the path of a file in the home folder.
pub(super) fn in_home(name: &str) -> Option<PathBuf> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?;
    Some(home.join(name))
}

/// Reads a small text.
pub(super) fn read(path: &Path) -> Result<String, Cause> {
    let unreadable = |error: &io::Error| Cause::new(format!("it cannot be read: {}", plain(error)));
    let found = fs::metadata(path)
        .map_err(|error| unreadable(&error).with_hint("correct its path, or let this program's user read it"))?;
    // A pipe would be waited for without end.
    if !found.is_file() {
        return Err(Cause::new("it is not a regular file").with_hint("correct its path"));
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(Cause::new("it is too large to be such a file").with_hint("correct its path"));
    }
    fs::read_to_string(path)
        .map_err(|error| unreadable(&error).with_hint("let this program's user read it, and save it as UTF-8"))
}

/// Refuses a file of secrets that others may read, as libpq does.
pub(super) fn check_private(path: &Path) -> Result<(), Cause> {
    #[cfg(unix)]
    if let Ok(found) = fs::metadata(path) {
        use std::os::unix::fs::PermissionsExt;
        let mode = found.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(Cause::new(format!(
                "others than its owner have access to it (mode {:o})",
                mode & 0o7777
            ))
            .with_hint("run `chmod 600` on it"));
        }
    }
    Ok(())
}

/// Returns the password of a line, if the line is about this place.
fn password(line: &str, place: Place<'_>) -> Option<Secret> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = fields(line.trim_end_matches('\r'));
    let password = fields.split_off(4.min(fields.len())).into_iter().next()?;
    let is_socket = place.host.starts_with('/');
    let [host, port, database, user] = <[String; 4]>::try_from(fields).ok()?;
    let is = |field: &str, value: &str| field == ANY || field == value;
    let is_here = (is(&host, place.host) || is_socket && host == LOCALHOST)
        && is(&port, &place.port.to_string())
        && is(&database, place.database)
        && is(&user, place.user);
    is_here.then(|| Secret::new(password))
}

/// Takes a line apart at its colons; a backslash makes the next character one without a meaning. What follows the
/// fourth colon is one field.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let last = fields.len() - 1;
        match c {
            '\\' => fields[last].extend(chars.next()),
            ':' if last < 4 => fields.push(String::new()),
            _ => fields[last].push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        host: "db",
        port: 5432,
        database: "sales",
        user: "reader",
    };

    #[test]
    fn the_first_line_about_the_place_gives_the_password() {
        for (line, expect) in [
            ("db:5432:sales:reader:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            ("db:*:sales:reader:a\\:b\\\\c d'\"", Some("a:b\\c d'\"")),
            ("db:5432:sales:reader:a:b:c", Some("a:b:c")),
            ("db:5433:sales:reader:secret", None),
            ("other:5432:sales:reader:secret", None),
            ("db:5432:sales:writer:secret", None),
            ("#db:5432:sales:reader:secret", None),
            ("db:5432:sales:reader", None),
            ("", None),
            ("db:5432:sales:reader:größe\r", Some("größe")),
        ] {
            assert_eq!(password(line, PLACE).as_ref().map(Secret::expose), expect, "{line}");
        }
        let socket = Place {
            host: "/run/postgresql",
            ..PLACE
        };
        assert!(password("localhost:5432:sales:reader:x", socket).is_some());
        assert!(password("/run/postgresql:5432:sales:reader:x", socket).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passwords");
        fs::write(&path, "# here\ndb:5432:sales:reader:first\n*:*:*:*:second\n").expect("written");
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
        for open in [0o640, 0o604, 0o644] {
            mode(open);
            let cause = look_up(Some(&path), PLACE).expect_err("open to others");
            assert!(cause.in_one_text().contains("chmod 600"), "{}", cause.in_one_text());
            assert!(!cause.in_one_text().contains("first"));
        }
        mode(0o600);
        let found = look_up(Some(&path), PLACE).expect("private").expect("a line");
        assert_eq!(found.expose(), "first");
        look_up(Some(&folder.path().join("none")), PLACE).expect_err("named, but not there");
        look_up(Some(folder.path()), PLACE).expect_err("a folder");
    }
}
