//! A source of type `command`.

use std::path::{Path, PathBuf};

use crate::config::section::Section;
use batch_export_source::{CommandSettings, SourceSettings, TimeColumns, check_argument, check_variable};

/// Reads the table's keys. `None` leaves at least one problem behind.
pub(super) fn read(folder: &Path, model: Option<&str>, section: &mut Section<'_>) -> Option<SourceSettings> {
    let place = section.place("command");
    let command = section.list("command", |text| check_argument(text).map(|()| text.to_owned()));
    if place.is_none() {
        section.missing(
            "command",
            "write the program and its arguments, as in [\"python3\", \"export.py\"]",
        );
    }
    let times = TimeColumns {
        arrival: section.text("time_column").map(|(_, name)| name),
        event: section.text("backfill_time_column").map(|(_, name)| name),
    };
    let environment = section.list("environment", |name| check_variable(name).map(|()| name.to_owned()));
    let works_in = section.text("folder").map(|(_, path)| PathBuf::from(path));
    match CommandSettings::new(folder, model?, &command, times) {
        Ok(mut settings) => {
            settings.environment = environment;
            settings.folder = works_in;
            Some(SourceSettings::Command(settings))
        }
        Err(cause) => {
            section.problem_unless_known(place?, "command", cause);
            None
        }
    }
}
