//! The S3 destination plugin: Arrow batches in, trusted files in a bucket.
//!
//! Everything but the bindings (`guest`) compiles natively and works against the [`imports::Imports`] trait. Nothing
//! here reads time, randomness, files or environment.

pub mod check;
pub mod config;
pub mod encode;
pub mod failure;
pub mod file;
pub mod imports;
pub mod ipc;
pub mod key;
pub mod manifest;
pub mod models;
pub mod needs;
pub mod plan;
pub mod recover;
pub mod run;
pub mod s3;
pub mod settings;
pub mod template;
pub mod upload;
pub mod words;

#[cfg(target_family = "wasm")]
mod guest;
