//! The one folder in which compiled plugins are kept between processes: the user's own. What is in it is machine code
//! that is loaded without a further look, so a folder that others can write to is not used. Compiles nothing itself.

use std::fs;
use std::path::{Path, PathBuf};

use batch_export_system::explain::Cause;
use batch_export_system::private;

/// Files in the cache: a plugin has three, and wasmtime deletes old ones by size and age.
const MAX_ENTRIES: usize = 10_000;
/// Plugins that are remembered as compiled; beyond it they are all forgotten and examined again.
const MAX_KNOWN: usize = 256;

/// A folder that may be used.
#[derive(Debug, Clone)]
pub struct CacheFolder {
    path: PathBuf,
}

impl CacheFolder {
    /// Returns the user's folder. The error is a sentence with the way out.
    pub fn of_user() -> Result<Self, Cause> {
        let path = user_folder().ok_or_else(|| {
            Cause::new("compiled plugins are not kept, because neither XDG_CACHE_HOME nor HOME is set to a folder")
                .with_hint("set one of them")
        })?;
        Self::at(&path)
    }

    /// Returns a folder, which is made if necessary, when only this user can write to it and to all that is in it.
    pub fn at(path: &Path) -> Result<Self, Cause> {
        let checked = private::folder(path)
            .map_err(|problem| (path.to_path_buf(), problem))
            .and_then(|()| private::whole_tree(path, MAX_ENTRIES))
            .and_then(|()| {
                let known = path.join(KNOWN);
                private::subfolder(&known).map_err(|problem| (known, problem))
            });
        match checked {
            Ok(()) => Ok(Self {
                path: path.to_path_buf(),
            }),
            Err((at, problem)) => {
                let refused = Cause::new(format!("compiled plugins are not kept in {}: {problem}", at.display()));
                Err(refused.with_hint(problem.remedy(&at, "XDG_CACHE_HOME")))
            }
        }
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a plugin was compiled into this folder, by its key.
    pub fn knows(&self, key: &str) -> bool {
        self.path.join(KNOWN).join(key).is_file()
    }

    /// Keeps in mind that it was. A failure costs the next command a look.
    pub fn remember(&self, key: &str) {
        let known = self.path.join(KNOWN);
        let is_full = fs::read_dir(&known).is_ok_and(|entries| entries.count() >= MAX_KNOWN);
        if is_full {
            forget_all(&known);
        }
        private::write(&known.join(key), b"").ok();
    }
}

/// The folder of what is known to be compiled, one empty file each.
const KNOWN: &str = "known";

fn forget_all(known: &Path) {
    for entry in fs::read_dir(known).into_iter().flatten().flatten() {
        fs::remove_file(entry.path()).ok();
    }
}

/// Returns where the platform wants caches (XDG Base Directory Specification; Apple's and Microsoft's guides).
fn user_folder() -> Option<PathBuf> {
    let named = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from)?;
        // The specification has relative paths ignored.
        path.is_absolute().then_some(path)
    };
    let platform = || {
        if cfg!(windows) {
            named("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            named("HOME").map(|home| home.join("Library/Caches"))
        } else {
            named("HOME").map(|home| home.join(".cache"))
        }
    };
    Some(named("XDG_CACHE_HOME").or_else(platform)?.join("batch-export"))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn machine_code_is_not_loaded_from_where_others_can_write() {
        let outer = tempfile::tempdir().expect("a folder");
        let path = outer.path().join("cache");
        let cache = CacheFolder::at(&path).expect("made");
        assert!(!cache.knows("a"));
        cache.remember("a");
        assert!(cache.knows("a"));
        let code = path.join("modules");
        fs::create_dir(&code).expect("a folder");
        let set = |at: &Path, mode| {
            fs::set_permissions(at, fs::Permissions::from_mode(mode)).expect("a mode");
        };
        for (at, mode, expect) in [
            (
                &path,
                0o777,
                "other users can write to it (its mode is 777); run `chmod go-w",
            ),
            (
                &path,
                0o720,
                "other users can write to it (its mode is 720); run `chmod go-w",
            ),
            (
                &code,
                0o707,
                "other users can write to it (its mode is 707); run `chmod go-w",
            ),
        ] {
            set(&path, 0o755);
            set(at, mode);
            let error = CacheFolder::at(&path).expect_err(expect).in_one_text();
            let begin = format!("compiled plugins are not kept in {}: {expect}", at.display());
            assert!(error.starts_with(&begin), "{error}");
            set(at, 0o700);
        }
        std::os::unix::fs::symlink(outer.path(), path.join("link")).expect("a link");
        let error = CacheFolder::at(&path).expect_err("a link");
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }

    #[test]
    fn what_is_known_is_bounded() {
        let outer = tempfile::tempdir().expect("a folder");
        let cache = CacheFolder::at(outer.path()).expect("ours");
        let known = outer.path().join(KNOWN);
        for number in 0..MAX_KNOWN {
            fs::write(known.join(number.to_string()), "").expect("a file");
        }
        cache.remember("new");
        assert!(cache.knows("new") && !cache.knows("0"));
    }
}
