//! What components import: the contract and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use batch_export_tests::components;
use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldId};

fn names(resolve: &Resolve, world: WorldId) -> BTreeSet<String> {
    let imports = &resolve.worlds[world].imports;
    imports.keys().map(|key| resolve.name_world_key(key)).collect()
}

fn of_contract() -> BTreeSet<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(components::repository().join("wit"))
        .expect("wit/ parses");
    let world = resolve
        .select_world(&[package], Some("destination"))
        .expect("the world");
    names(&resolve, world)
}

fn of_component(path: &Path) -> BTreeSet<String> {
    let bytes = std::fs::read(path).expect("the component");
    match wit_component::decode(&bytes).expect("a component") {
        DecodedWasm::Component(resolve, world) => names(&resolve, world),
        DecodedWasm::WitPackage(..) => panic!("{} is a WIT package", path.display()),
    }
}

#[test]
fn the_shipped_component_imports_exactly_what_the_world_imports() {
    assert_eq!(of_component(&components::destination()), of_contract());
}

#[test]
fn the_contract_has_no_wasi() {
    let wasi: Vec<_> = of_contract().into_iter().filter(|name| name.contains("wasi")).collect();
    assert_eq!(wasi, Vec::<String>::new());
}

#[test]
fn a_component_with_another_import_is_told_apart() {
    let extra = of_component(&components::guest("extra-import"));
    let difference: Vec<_> = extra.difference(&of_contract()).cloned().collect();
    assert_eq!(difference, ["environment"]);
}
