//! The bytes of a destination's component: from a file that the user names, or those built into this program.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use batch_export_sandbox::COMPONENT_BYTES;
use batch_export_system::explain::{Explain, count, plain};
use batch_export_system::open_regular;

#[cfg(bundled_component)]
const BUNDLED: Option<&[u8]> = Some(include_bytes!(env!("BUNDLED_COMPONENT")));
#[cfg(not(bundled_component))]
const BUNDLED: Option<&[u8]> = None;

/// No more of a file is read than a component can have.
const MAX_COMPONENT_BYTES: u64 = COMPONENT_BYTES as u64;

/// A reason why a component cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The file cannot be read.
    #[error("cannot read the component {}: {}", path.display(), plain(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is larger than any component.
    #[error("the component {} is larger than {} bytes", path.display(), count(*limit_bytes))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// No file was named, and this program was built without a component.
    #[error("no component is built into this program")]
    NoneBundled,
}

impl Explain for ComponentError {
    fn hint(&self) -> Option<String> {
        Some(
            match self {
                ComponentError::Unreadable { .. } => "name a readable component file, or none to use the built-in one",
                ComponentError::TooLarge { .. } => "name the right file: a destination component has a few MiB",
                ComponentError::NoneBundled => {
                    "run `cargo xtask build` and rebuild this program, or name a component file"
                }
            }
            .to_owned(),
        )
    }
}

/// The bytes of a component, and its name in messages.
#[derive(Debug)]
pub struct Component {
    /// What messages call it.
    pub name: String,
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
}

/// Reads the named component, or takes the bundled one.
pub fn open(path: Option<&Path>) -> Result<Component, ComponentError> {
    let Some(path) = path else {
        let bytes = BUNDLED.ok_or(ComponentError::NoneBundled)?;
        return Ok(Component {
            name: "the bundled component".to_owned(),
            bytes: Cow::Borrowed(bytes),
        });
    };
    let mut bytes = Vec::new();
    open_regular(path)
        .map_err(io::Error::from)
        .and_then(|file| file.take(MAX_COMPONENT_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|source| ComponentError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
    if bytes.len() as u64 > MAX_COMPONENT_BYTES {
        return Err(ComponentError::TooLarge {
            path: path.to_path_buf(),
            limit_bytes: MAX_COMPONENT_BYTES,
        });
    }
    Ok(Component {
        name: path.display().to_string(),
        bytes: Cow::Owned(bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_cannot_be_had_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let huge = folder.path().join("huge.wasm");
        // A sparse file: it takes no room on the disk.
        let file = std::fs::File::create(&huge).expect("a file");
        file.set_len(MAX_COMPONENT_BYTES + 1).expect("a length");
        let none = folder.path().join("none.wasm");
        let inside = folder.path().join("component");
        std::fs::create_dir(&inside).expect("a folder");
        let cases = [
            // A pipe or a device would never end, or never begin.
            #[cfg(unix)]
            (
                PathBuf::from("/dev/zero"),
                "cannot read the component /dev/zero: it is a device, not a file",
                "name a readable component file, or none to use the built-in one",
            ),
            (
                inside,
                "cannot read the component component: it is a folder, not a file",
                "name a readable component file, or none to use the built-in one",
            ),
            (
                none,
                "cannot read the component none.wasm: no such file or directory",
                "name a readable component file, or none to use the built-in one",
            ),
            (
                huge,
                "the component huge.wasm is larger than 33,554,432 bytes",
                "name the right file: a destination component has a few MiB",
            ),
        ];
        for (path, message, hint) in cases {
            let error = open(Some(&path)).expect_err(message);
            let folder = format!("{}/", folder.path().display());
            assert_eq!(error.message().replace(&folder, ""), message);
            assert_eq!(error.hint().as_deref(), Some(hint));
        }
    }
}
