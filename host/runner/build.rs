//! Bundles the S3 destination's component into the program when `cargo xtask build` has made it. Builds nothing.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

use std::path::Path;

fn main() {
    // Cargo's present word, not that of the time when this was compiled: a checkout may have moved since.
    let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR") else {
        return;
    };
    let component = Path::new(&package).join("../../dist/s3_destination.wasm");
    println!("cargo:rustc-check-cfg=cfg(bundled_component)");
    println!("cargo:rerun-if-changed={}", component.display());
    if component.is_file() {
        println!("cargo:rustc-cfg=bundled_component");
        println!("cargo:rustc-env=BUNDLED_COMPONENT={}", component.display());
    }
}
