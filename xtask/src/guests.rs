//! The guests that only tests load: the hostile one, and components that a host must refuse to load. The latter are
//! made from the contract's text alone, with bodies that trap. Never part of what is shipped.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::ManglingAndAbi;

use crate::component;
use crate::process::say;
use crate::setup::{self, Toolchain};
use crate::workspace::Workspace;

/// The package of the hostile guest.
pub const HOSTILE: &str = "hostile-guest";

/// `cargo xtask guests`.
pub fn run(workspace: &Workspace, _arguments: &[String]) -> Result<()> {
    build(workspace, &setup::ensure(workspace)?)
}

/// Builds them all into the folder that tests are told of.
pub fn build(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    say("building the guests for tests");
    let folder = workspace.test_guests();
    fs::create_dir_all(&folder)?;
    let save = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).with_context(|| format!("cannot write guest {name}"))
    };

    let core = component::build_core(workspace, toolchain, HOSTILE)?;
    let hostile = component::encode(&fs::read(core)?)?;
    for attack in ["loop", "trap", "evil"] {
        save(
            &format!("describe-{attack}.wasm"),
            &with_describe_attack(&hostile, attack)?,
        )?;
    }
    save("hostile.wasm", &hostile)?;

    let contract = component::read_contract(&workspace.wit())?;
    save("core-module.wasm", &dummy_core(&contract)?)?;
    save("traps.wasm", &dummy_component(&contract)?)?;
    let newer = edited(&contract, "destination@0.1.0;", "destination@0.2.0;")?;
    save("other-version.wasm", &dummy_component(&newer)?)?;
    let greedy = edited(
        &contract,
        "    export exporter;",
        "    import environment: func() -> string;\n    export exporter;",
    )?;
    save("extra-import.wasm", &dummy_component(&greedy)?)?;
    let unrelated = "package other:thing@1.0.0;\nworld destination { export run: func(); }\n";
    save("other-world.wasm", &dummy_component(unrelated)?)
}

/// The hostile guest with another attack in its `describe`, which no configuration reaches: the four bytes that say
/// which one are written over in its data.
fn with_describe_attack(hostile: &[u8], attack: &str) -> Result<Vec<u8>> {
    let [before, after] = ["none", attack].map(|attack| format!("describe-attack={attack}....").into_bytes());
    let mut places = (0..hostile.len()).filter(|&at| hostile[at..].starts_with(&before));
    let (Some(at), None) = (places.next(), places.next()) else {
        bail!("the hostile guest should hold `describe-attack=none....` once");
    };
    let mut patched = hostile.to_vec();
    patched[at..at + after.len()].copy_from_slice(&after);
    Ok(patched)
}

/// The contract with one change, which must have an effect: a reworded contract shall not silently test nothing.
fn edited(contract: &str, from: &str, to: &str) -> Result<String> {
    ensure!(
        contract.matches(from).count() == 1,
        "wit/destination.wit should hold `{from}` once: the changed contracts for tests are made from that line"
    );
    Ok(contract.replace(from, to))
}

/// A core module with every import and export of the world; each export traps.
fn dummy_core(contract: &str) -> Result<Vec<u8>> {
    let (resolve, world) = component::parse_world(contract)?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

fn dummy_component(contract: &str) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(&dummy_core(contract)?)?
        .encode()
        .context("cannot turn a contract changed for tests into a component")
}
