//! What the tests of several modules share.

pub(crate) mod openmetrics;
pub(crate) mod yaml;
