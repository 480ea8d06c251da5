//! Which crates know each other: the picture in `docs/architecture.md` is what the manifests say.

use std::collections::BTreeSet;
use std::fs;

use batch_export_tests::components::repository;

/// Every crate that is shipped or that a shipped one uses: the picture's name, its folder and its package.
const CRATES: [(&str, &str, &str); 9] = [
    ("plugin", "plugin", "s3-destination"),
    ("system", "host/system", "batch-export-system"),
    ("sandbox", "host/sandbox", "batch-export-sandbox"),
    ("source", "host/source", "batch-export-source"),
    ("schedule", "host/schedule", "batch-export-schedule"),
    ("runner", "host/runner", "batch-export-runner"),
    ("service", "host/service", "batch-export-service"),
    ("cli", "host/cli", "batch-export"),
    ("devstore", "devstore", "devstore"),
];

type Arrows = BTreeSet<(String, String)>;

fn arrow(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

/// The dependencies of `[dependencies]`; what tests use besides is not shipped.
fn in_the_manifests() -> Arrows {
    let mut arrows = Arrows::new();
    for (from, folder, _) in CRATES {
        let path = repository().join(folder).join("Cargo.toml");
        let manifest = fs::read_to_string(path).expect("a manifest");
        let shipped = manifest.split("[dev-dependencies]").next();
        for line in shipped.expect("a first part").lines() {
            let named = line.split(['.', ' ', '=']).next().expect("a first part");
            if let Some((to, ..)) = CRATES.iter().find(|(.., package)| *package == named) {
                arrows.insert(arrow(from, to));
            }
        }
    }
    arrows
}

/// The arrows of the page's first picture; `name["what it is"]` may stand for a name.
fn in_the_picture() -> Arrows {
    let page = repository().join("docs/architecture.md");
    let page = fs::read_to_string(page).expect("the page");
    let picture = page.split("```").nth(1).expect("a picture");
    let name = |end: &str| end.split('[').next().expect("a name").trim().to_owned();
    picture
        .lines()
        .filter_map(|line| line.split_once("-->"))
        .map(|(from, to)| (name(from), name(to)))
        .collect()
}

#[test]
fn the_picture_of_the_crates_is_what_the_manifests_say() {
    let manifests = in_the_manifests();
    assert!(manifests.len() > 5, "no manifests were read: {manifests:?}");
    assert_eq!(in_the_picture(), manifests);
}

#[test]
fn sandbox_source_and_plugin_do_not_know_each_other() {
    let manifests = in_the_manifests();
    for (from, to) in [
        ("sandbox", "source"),
        ("source", "sandbox"),
        ("sandbox", "devstore"),
        ("runner", "devstore"),
        ("runner", "plugin"),
        ("cli", "plugin"),
    ] {
        assert!(!manifests.contains(&arrow(from, to)), "{from} knows {to}");
    }
    let plugin = manifests.iter().filter(|(from, _)| from == "plugin");
    assert_eq!(plugin.count(), 0, "the plugin knows a crate of the host");
}
