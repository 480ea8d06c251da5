//! What is wrong with a command line, in the form of every other failure: one sentence, and what to do. Takes apart
//! what the parser found; reads no argument itself.

use std::error::Error;
use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Arguments;
use crate::error;
use crate::span::LengthError;
use batch_export_runner::Failure;
use batch_export_system::explain::Cause;

/// The variable that names a configuration file.
pub const CONFIG_VARIABLE: &str = "BATCH_EXPORT_CONFIG";

/// Returns the failure of arguments that the parser refused.
pub fn failure(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let cause = cause(error, arguments);
    let (message, hint) = cause.into_parts();
    error::usage(message).with_hint(hint.unwrap_or_else(|| help_of(arguments)))
}

fn cause(error: &clap::Error, arguments: &[OsString]) -> Cause {
    let argument = text(error, ContextKind::InvalidArg).map(name);
    let value = text(error, ContextKind::InvalidValue);
    match (error.kind(), argument, value) {
        (ErrorKind::UnknownArgument, Some(argument), _) if argument.starts_with('-') => meaning(
            Cause::new(format!("there is no option `{argument}`")),
            texts(error, ContextKind::SuggestedArg),
        ),
        (ErrorKind::UnknownArgument, Some(argument), _) => {
            Cause::new(format!("the argument `{argument}` is not expected"))
        }
        (ErrorKind::InvalidSubcommand, _, _) => meaning(
            Cause::new(format!(
                "there is no command `{}`",
                text(error, ContextKind::InvalidSubcommand).unwrap_or_default()
            )),
            texts(error, ContextKind::SuggestedSubcommand),
        ),
        (ErrorKind::InvalidValue, Some("--config"), Some("")) if is_variable_empty(arguments) => {
            Cause::new(format!("the environment variable {CONFIG_VARIABLE} is empty"))
                .with_hint("set it to the path of a configuration file, or unset it")
        }
        (ErrorKind::InvalidValue, Some(argument), Some("")) => one_of(
            Cause::new(format!("`{argument}` requires a value")),
            &texts(error, ContextKind::ValidValue),
        ),
        (ErrorKind::InvalidValue, Some(argument), Some(value)) => one_of(
            Cause::new(format!("`{value}` is not a valid value for `{argument}`")),
            &texts(error, ContextKind::ValidValue),
        ),
        (ErrorKind::ValueValidation, Some(argument), Some(value)) => invalid(argument, value, error.source()),
        (ErrorKind::ArgumentConflict, Some(argument), _) => conflict(argument, error),
        (ErrorKind::MissingRequiredArgument, _, _) => missing(&texts(error, ContextKind::InvalidArg)),
        (ErrorKind::InvalidUtf8, _, _) => Cause::new("an argument is not valid UTF-8").with_hint("write it as UTF-8"),
        _ => Cause::new(in_one_line(error)),
    }
}

fn invalid(argument: &str, value: &str, source: Option<&(dyn Error + 'static)>) -> Cause {
    let invalid = format!("`{value}` is not a valid value for `{argument}`");
    match source {
        Some(source) => match source.downcast_ref::<LengthError>() {
            Some(length) => Cause::of(length).map(|_| invalid),
            None => Cause::new(invalid).with_hint(source.to_string()),
        },
        None => Cause::new(invalid),
    }
}

fn conflict(argument: &str, error: &clap::Error) -> Cause {
    let others = texts(error, ContextKind::PriorArg);
    let others: Vec<String> = others.iter().map(|other| format!("`{}`", name(other))).collect();
    let others = others.join(" and ");
    match others.is_empty() || others == format!("`{argument}`") {
        true => Cause::new(format!("`{argument}` is set more than once")).with_hint("set it only once"),
        false => Cause::new(format!("`{argument}` cannot be combined with {others}")).with_hint("omit one of them"),
    }
}

fn missing(names: &[String]) -> Cause {
    let names: Vec<&str> = names.iter().map(|missing| name(missing)).collect();
    match names.as_slice() {
        ["--start", "--end"] | ["--end", "--start"] => Cause::new("no interval is given")
            .with_hint("specify it with --last, such as `--last hour`, or with --start and --end"),
        [one @ ("--start" | "--end")] => Cause::new(format!("the interval is incomplete: {one} is missing")).with_hint(
            format!("add {one}, or specify the interval with --last, such as `--last hour`"),
        ),
        names => Cause::new(format!("missing: {}", names.join(", "))),
    }
}

/// Adds what was probably meant.
fn meaning(cause: Cause, suggested: Vec<String>) -> Cause {
    // The parser puts the most similar one last.
    match suggested.last() {
        Some(meant) => cause.with_hint(format!("did you mean `{meant}`?")),
        None => cause,
    }
}

/// Adds the values that there are.
fn one_of(cause: Cause, values: &[String]) -> Cause {
    match values {
        [] => cause,
        values => cause.with_hint(format!("use one of {}", values.join(", "))),
    }
}

/// Returns an option without its value, as in `--last <LENGTH>`, or the name of what has no option.
fn name(argument: &str) -> &str {
    let end = argument.find([' ', '=']).unwrap_or(argument.len());
    argument[..end].trim_matches(['<', '>', '[', ']'])
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

fn is_variable_empty(arguments: &[OsString]) -> bool {
    let is_option = |argument: &OsString| argument.to_string_lossy().starts_with("--config");
    std::env::var_os(CONFIG_VARIABLE).is_some_and(|value| value.is_empty()) && !arguments.iter().any(is_option)
}

/// Returns where the options of the command are listed.
fn help_of(arguments: &[OsString]) -> String {
    let program = Arguments::command();
    let mut known = program.get_subcommands().map(clap::Command::get_name);
    let given = arguments.get(1).and_then(|argument| argument.to_str());
    match known.find(|known| Some(*known) == given) {
        Some(command) => format!("see `batch-export {command} --help`"),
        None => "see `batch-export --help`".to_owned(),
    }
}

/// Returns what the parser says, without the usage.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let words: Vec<&str> = first.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn every_mistake_is_a_sentence_with_what_to_do() {
        let interval = "specify it with --last, such as `--last hour`, or with --start and --end";
        for (line, message, hint) in [
            ("runn", "there is no command `runn`", "did you mean `run`?"),
            ("planx", "there is no command `planx`", "did you mean `plan`?"),
            (
                "frobnicate",
                "there is no command `frobnicate`",
                "see `batch-export --help`",
            ),
            ("run", "no interval is given", interval),
            ("verify --json", "no interval is given", interval),
            (
                "run --start 2026-01-01",
                "the interval is incomplete: --end is missing",
                "add --end, or specify the interval with --last, such as `--last hour`",
            ),
            (
                "run --last hour --start 2026-01-01",
                "`--last` cannot be combined with `--start`",
                "omit one of them",
            ),
            (
                "run --last fortnight",
                "`fortnight` is not a valid value for `--last`",
                "use hour, day, week, or a number of minutes or hours that divides a day evenly, such as \"15 \
                 minutes\" or \"6 hours\"",
            ),
            (
                "run --last hour --last day",
                "`--last` is set more than once",
                "set it only once",
            ),
            (
                "check --confg x",
                "there is no option `--confg`",
                "did you mean `--config`?",
            ),
            (
                "check --\u{1b}[31m",
                "there is no option `--\u{1b}[31m`",
                "see `batch-export check --help`",
            ),
            (
                "check again",
                "the argument `again` is not expected",
                "see `batch-export check --help`",
            ),
            (
                "check --config",
                "`--config` requires a value",
                "see `batch-export check --help`",
            ),
            (
                "check --destination=",
                "`--destination` requires a value",
                "see `batch-export check --help`",
            ),
            (
                "schema event",
                "`event` is not a valid value for `MODEL`",
                "use one of events, persons, sessions",
            ),
            ("completions", "missing: SHELL", "see `batch-export completions --help`"),
            (
                "demo --hours none",
                "`none` is not a valid value for `--hours`",
                "use a whole number from 1 to 240",
            ),
            (
                "demo --rows 0",
                "`0` is not a valid value for `--rows`",
                "use a whole number from 1 to 10,000,000",
            ),
        ] {
            let arguments: Vec<OsString> = std::iter::once("batch-export")
                .chain(line.split(' '))
                .map(OsString::from)
                .collect();
            let error = Arguments::try_parse_from(&arguments).expect_err(line);
            let failure = failure(&error, &arguments);
            assert_eq!((failure.message(), failure.hint()), (message, Some(hint)), "{line}");
        }
    }
}
