//! Counts of what a source read and omitted, and the sums that must come out. Nothing that was met may be missing from
//! them.

use batch_export_system::explain::{count, counted};
use serde::{Deserialize, Serialize};

use crate::error::SourceError;

/// What a source read and omitted. The rows omitted here are not supplied; with those supplied they are all that was
/// read, and a run that cannot show that fails. So are the files read and the names omitted all that was met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tally {
    /// Names that were met: each is of a file read, or counted by one of the next three.
    pub files_seen: u64,
    /// Files that were read to their end, or are known to hold no row.
    pub files_read: u64,
    /// Files of a folder whose names do not say that they hold rows.
    pub files_of_other_names: u64,
    /// Files and folders whose names begin with `.` or `_`.
    pub files_hidden: u64,
    /// Further names of files and folders that were read under another.
    pub files_repeated: u64,
    /// Rows that were examined one by one; those of pruned row groups are not.
    pub rows_read: u64,
    /// Rows whose time is outside the interval.
    pub rows_outside_interval: u64,
    /// Rows whose time column is null: they belong to no interval.
    pub rows_without_time: u64,
    /// Rows omitted by the destination's include and exclude lists.
    pub rows_of_other_events: u64,
    /// Halves of surrogate pairs in texts, and in names, that became U+FFFD.
    pub surrogates_replaced: u64,
    /// Numbers that became the nearest float in columns of 64-bit floats.
    pub numbers_rounded: u64,
    /// Parquet row groups that were read.
    pub row_groups_read: u64,
    /// Parquet row groups that their statistics place outside the interval.
    pub row_groups_pruned: u64,
    /// Rows in those row groups, which were not looked at.
    pub rows_pruned: u64,
}

impl Tally {
    /// Returns the reason why there was nothing to export, with what was read and omitted.
    pub fn why_empty(&self) -> String {
        let omitted = [
            (self.rows_outside_interval, "outside the interval"),
            (self.rows_without_time, "without a time"),
            (
                self.rows_of_other_events,
                "excluded by include_events and exclude_events",
            ),
        ];
        let omitted: Vec<String> = omitted
            .iter()
            .filter(|(rows, _)| *rows > 0)
            .map(|(rows, why)| format!("{} {why}", count(*rows)))
            .collect();
        match (self.rows_read, self.row_groups_pruned) {
            (0, 0) => "the interval has no rows".to_owned(),
            (0, 1) => "the interval has no rows (1 row group of the files is outside it)".to_owned(),
            (0, groups) => format!(
                "the interval has no rows ({} row groups of the files are outside it)",
                count(groups)
            ),
            (read, _) => format!("the source read {}: {}", counted(read, "row"), omitted.join(", ")),
        }
    }

    /// Returns the rows read and not omitted, which the source must have supplied; `None` when the counts contradict
    /// each other.
    pub fn rows_kept(&self) -> Option<u64> {
        self.rows_read
            .checked_sub(self.rows_outside_interval)?
            .checked_sub(self.rows_without_time)?
            .checked_sub(self.rows_of_other_events)
    }

    /// Checks, once a source was read to its end, that each name that was met is of a file read or counted as omitted.
    pub fn check_files(&self) -> Result<(), SourceError> {
        let known = [
            self.files_read,
            self.files_of_other_names,
            self.files_hidden,
            self.files_repeated,
        ];
        let known = known.into_iter().fold(0, u64::saturating_add);
        match known == self.files_seen {
            true => Ok(()),
            false => Err(SourceError::FilesMiscounted {
                seen: self.files_seen,
                counted: known,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_neither_read_nor_omitted_is_a_failure() {
        let good = Tally {
            files_seen: 10,
            files_read: 4,
            files_of_other_names: 3,
            files_hidden: 2,
            files_repeated: 1,
            ..Tally::default()
        };
        assert!(Tally::default().check_files().is_ok() && good.check_files().is_ok());
        for read in [3, 5, u64::MAX] {
            let bad = Tally {
                files_read: read,
                ..good
            };
            assert!(bad.check_files().is_err(), "{read}");
        }
        let bad = Tally { files_read: 3, ..good };
        assert_eq!(
            bad.check_files().unwrap_err().to_string(),
            "10 file names were found, but 9 are counted as read or omitted; rows may be missing, so do not rely on \
             anything from this run"
        );
    }
}
