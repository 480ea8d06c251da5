//! The places of things: the repository, cargo's target folder, what we build. Never creates or changes anything.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;

/// The target that components are built for: no WASI, so that nothing but the contract can be imported.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// A checkout and the target folder to use with it.
pub struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
}

impl Workspace {
    /// The checkout whose `cargo xtask` runs us.
    pub fn discover() -> Result<Self> {
        let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("run it as `cargo xtask`, because cargo provides the path of the workspace")?;
        let root = Path::new(&xtask)
            .parent()
            .context("the xtask package has no parent folder")?
            .to_path_buf();
        let metadata = process::read(
            process::cargo()
                .args(["metadata", "--no-deps", "--format-version=1"])
                .current_dir(&root),
        )?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
        let target = metadata["target_directory"]
            .as_str()
            .context("`cargo metadata` does not name a target directory")?;
        Ok(Workspace {
            target: target.into(),
            root,
        })
    }

    /// What users get.
    pub fn dist(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// The contract.
    pub fn wit(&self) -> PathBuf {
        self.root.join("wit")
    }

    /// Guests that only tests load. Not in `dist`: they are not for users.
    pub fn test_guests(&self) -> PathBuf {
        self.target.join("test-guests")
    }

    /// The core module that cargo makes of a package's cdylib.
    pub fn core_module(&self, package: &str) -> PathBuf {
        self.target
            .join(WASM_TARGET)
            .join("release")
            .join(package.replace('-', "_"))
            .with_extension("wasm")
    }
}
