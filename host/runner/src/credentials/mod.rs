//! The source of a destination's long-lived secrets: keys of its own, or the host's where they are asked for by name.
//! Never passes over a source that is only half set up.

mod carry;
mod chain;
mod chosen;
mod identity;
#[cfg(test)]
mod tests;

pub use chain::{AssumeRole, Chain, ChainOptions};
pub(crate) use identity::material;

use batch_export_sandbox::Credentials;

/// The source of a destination's credentials. There is no default, because a default would sign with the identity of
/// this machine for whoever forgot a key.
#[derive(Debug, Clone)]
pub enum CredentialSettings {
    /// Keys of its own.
    Keys(Credentials),
    /// This machine's own credentials, asked for by name.
    Host(ChainOptions),
}
