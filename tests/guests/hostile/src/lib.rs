//! A destination plugin that misbehaves as the `attack` in its configuration says. With `attack` set to `none` it is
//! an honest plugin that writes one object, so that a test can tell "contained" from "broken". Holds no secrets, and
//! is empty on anything but wasm.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "misbehaving is what it is for"
)]
#![cfg(target_family = "wasm")]

mod attack;
mod configuration;
mod exports;
mod store;

#[allow(unsafe_code, reason = "generated from the contract: the canonical ABI")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "destination",
        generate_all,
    });
    use super::exports::Hostile;
    export!(Hostile);
}
