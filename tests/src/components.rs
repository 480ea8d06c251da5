//! Where `cargo xtask` left the components. Never builds them: a test cannot take minutes to compile.

use std::path::{Path, PathBuf};

/// The shipped component.
pub fn destination() -> PathBuf {
    let path = match std::env::var_os("BATCH_EXPORT_COMPONENT") {
        Some(path) => PathBuf::from(path),
        None => repository().join("dist/s3_destination.wasm"),
    };
    existing(path, "cargo xtask build")
}

/// A guest that only tests load, such as `hostile`.
pub fn guest(name: &str) -> PathBuf {
    let folder = match std::env::var_os("BATCH_EXPORT_TEST_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => repository().join("target/test-guests"),
    };
    existing(folder.join(name).with_extension("wasm"), "cargo xtask guests")
}

/// The checkout.
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("tests/ is in the repository").to_path_buf()
}

fn existing(path: PathBuf, remedy: &str) -> PathBuf {
    assert!(
        path.is_file(),
        "{} is missing: run `{remedy}` (`cargo xtask test` does it)",
        path.display()
    );
    path
}
