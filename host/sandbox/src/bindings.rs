//! What `wasmtime` generates from `wit/`: nothing written by hand, and used only inside `sandbox` and `capability`.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    reason = "generated from the contract, which documents every item: the canonical ABI"
)]

wasmtime::component::bindgen!({
    world: "destination",
    path: "wit",
    imports: { default: trappable },
    with: {
        "batch-export:destination/http.payload": crate::capability::http::Payload,
        "batch-export:destination/http.exchange": crate::capability::http::Exchange,
    },
});
