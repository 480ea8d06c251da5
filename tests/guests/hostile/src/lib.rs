//! A destination plugin that misbehaves as the `attack` in its configuration says. With `attack` set to `none` it is
//! an honest plugin that writes one object, so that a test can tell "contained" from "broken". Holds no secrets, and
//! is empty on anything but wasm.

#![cfg(target_family = "wasm")]

mod attack;
mod configuration;
mod exports;
mod store;

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "destination",
        generate_all,
    });
    use super::exports::Hostile;
    export!(Hostile);
}
