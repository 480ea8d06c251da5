//! Where a destination's component comes from: a file that the user names, or the one built into this program.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use batch_export_sandbox::COMPONENT_BYTES;

#[cfg(bundled_component)]
const BUNDLED: Option<&[u8]> = Some(include_bytes!(env!("BUNDLED_COMPONENT")));
#[cfg(not(bundled_component))]
const BUNDLED: Option<&[u8]> = None;

/// No more of a file is read than a component can have.
const MAX_COMPONENT_BYTES: u64 = COMPONENT_BYTES as u64;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("cannot read the component {}: {source}; name a component file with --component or `[component] path`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the component {} is larger than {limit_bytes} bytes; is it the right file?", path.display())]
    TooLarge { path: PathBuf, limit_bytes: u64 },
    #[error(
        "no component is built into this program; build it with `cargo xtask build` and this program anew, or name a component file with --component"
    )]
    NoneBundled,
}

/// A component's bytes, and what to call it in messages.
#[derive(Debug)]
pub struct Component {
    pub name: String,
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
    File::open(path)
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
        let file = File::create(&huge).expect("a file");
        file.set_len(MAX_COMPONENT_BYTES + 1).expect("a length");
        let none = folder.path().join("none.wasm");
        let cases = [
            (
                none,
                "cannot read the component none.wasm: No such file or directory (os error 2); name a component file with --component or `[component] path`",
            ),
            (
                huge,
                "the component huge.wasm is larger than 33554432 bytes; is it the right file?",
            ),
        ];
        for (path, expect) in cases {
            let error = open(Some(&path)).expect_err(expect).to_string();
            let folder = format!("{}/", folder.path().display());
            assert_eq!(error.replace(&folder, ""), expect);
        }
        assert_eq!(
            ComponentError::NoneBundled.to_string(),
            "no component is built into this program; build it with `cargo xtask build` and this program anew, or name a component file with --component"
        );
    }
}
