//! The host: reads rows from a source, runs a destination plugin in a sandbox, and grants it exactly the network
//! access that the run needs. What the plugin does with rows is the plugin's; the two meet only in `wit/`.

pub mod capability;
pub mod child;
pub mod cli;
pub mod component;
pub mod config;
pub mod credentials;
pub mod demo;
pub mod egress;
pub mod interval;
pub mod limits;
pub mod model;
mod private;
pub mod run;
pub mod sandbox;
pub mod source;
pub mod terminal;
pub mod verify;
