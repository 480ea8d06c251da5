//! Names of models: known ones, those of one's own, and what looks like a slip between them.

use super::{parse, problems, with_source};

/// Source lines that take any model.
const FILES: &str = "type = \"files\"\npath = \"x\"";

#[test]
fn a_model_that_is_nearly_a_known_one_is_a_question() {
    for (model, near) in [
        ("event", "events"),
        ("evnets", "events"),
        ("Events", "events"),
        ("EVENTS", "events"),
        ("person", "persons"),
        ("sesions", "sessions"),
        ("session", "sessions"),
    ] {
        let text = with_source(model, FILES);
        assert_eq!(
            problems(&text),
            [format!(
                "2:9: destinations.a.model: `{model}` is not a known model; did you mean `{near}`? (if it is a model of your own, add custom_model = true)"
            )]
        );
        let insisted = text.replace("model = ", "custom_model = true\nmodel = ");
        assert_eq!(parse(&insisted).expect("valid").destinations[0].model, model);
    }
    for model in ["orders", "events", "events_v2", "page-views", "users", "people"] {
        parse(&with_source(model, FILES)).expect("valid");
    }
}

#[test]
fn a_known_model_is_not_one_of_your_own() {
    let text = with_source("events", FILES).replace("model = ", "custom_model = true\nmodel = ");
    assert_eq!(
        problems(&text),
        ["2:16: destinations.a.custom_model: `events` is a known model; remove this, or choose another name"]
    );
    parse(&text.replace("true", "false")).expect("valid");
    let text = text.replace("true", "1");
    assert_eq!(
        problems(&text),
        ["2:16: destinations.a.custom_model: expected true or false, found an integer"]
    );
}
