//! The host's sources and what they need, by path from where they are. Adds nothing.

#[path = "../../../host/src/interval.rs"]
pub mod interval;
#[path = "../../../host/src/model.rs"]
pub mod model;
#[path = "../../../host/src/source/mod.rs"]
pub mod source;
