//! The model of a destination: a known one, or a name of one's own that is not a slip of the keyboard for one.

use super::destination::is_name;
use super::section::Section;
use batch_export_source::Model;

/// The contract's limit for a model's name.
const MODEL_BYTES: usize = 128;

/// The model's name: one of those that are known, or one that can hardly be meant to be one of them.
pub fn read(section: &mut Section<'_>) -> Option<String> {
    let custom = section.flag("custom_model");
    let insisted = custom.is_some_and(|(_, insisted)| insisted);
    let model = section.parsed("model", |text| {
        if !is_name(text, MODEL_BYTES) {
            return Err(format!(
                "`{text}` is not a valid model name; use events, persons or sessions, or with a files source another name of letters, digits, `-` and `_`"
            ));
        }
        match known_model_meant(text).filter(|_| !insisted) {
            Some(near) => Err(format!(
                "`{text}` is not a known model; did you mean `{near}`? (if it is a model of your own, add custom_model = true)"
            )),
            None => Ok(text.to_owned()),
        }
    });
    if model.is_none() {
        section.missing(
            "model",
            "name what is exported: events, persons or sessions",
        );
    }
    if let (Some((at, true)), Some(known)) = (custom, model.as_deref().and_then(Model::named)) {
        section.problem(
            at,
            "custom_model",
            format!(
                "`{}` is a known model; remove this, or choose another name",
                known.name()
            ),
        );
    }
    model
}

/// Changes of a letter after which a name still looks like the known one: a plural forgotten, letters swapped.
const SLIPS: usize = 2;

/// The known model that a name is nearly, but not quite.
fn known_model_meant(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    Model::ALL
        .into_iter()
        .map(Model::name)
        .filter(|known| *known != text)
        .map(|known| (strsim::damerau_levenshtein(&lower, known), known))
        .filter(|(slips, _)| *slips <= SLIPS)
        .min()
        .map(|(_, known)| known)
        .filter(|_| Model::named(text).is_none())
}
