//! The S3 protocol: what is sent, how it is signed, what the responses mean and when to retry. Knows nothing about
//! files, formats or rows, and never follows a redirect.

pub mod body;
pub mod checksum;
pub mod client;
pub mod endpoint;
pub mod error;
pub mod fingerprint;
pub(crate) mod hint;
pub mod reply;
pub mod request;
pub mod retry;
pub mod sign;
pub mod xml;
