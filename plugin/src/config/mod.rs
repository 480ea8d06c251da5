//! Turns a configuration document into settings, and is the only place that creates [`Settings`]. Reports all problems
//! at once, never repeats a secret, and sends nothing.

mod field;
pub mod fields;
mod format;
pub mod limits;
mod regions;
mod rules;
mod schema;
mod values;

pub use schema::json_schema;

use crate::failure::Failure;
use crate::settings::Settings;

/// Decides the settings from a JSON object. The error is [`Failure::Config`] with all problems.
pub fn parse(configuration_json: &str) -> Result<Settings, Failure> {
    settings(configuration_json, None)
}

/// Decides the settings for runs of one model: [`parse`] plus the rules that depend on the model.
pub fn parse_for_model(configuration_json: &str, model: &str) -> Result<Settings, Failure> {
    settings(configuration_json, Some(model))
}

fn settings(configuration_json: &str, model: Option<&str>) -> Result<Settings, Failure> {
    let mut values = values::Values::read(configuration_json);
    let decided = rules::decide(&mut values, model);
    let problems = values.into_problems();
    match decided {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(Failure::Config(problems)),
    }
}

#[cfg(test)]
mod tests;
