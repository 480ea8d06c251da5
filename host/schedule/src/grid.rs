//! The boundaries of a schedule: equal steps since the epoch, or the beginnings of days and weeks in a time zone.
//! Total: where the calendar ends (before the year -9999 and after 9999), it goes on in steps of UTC.

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

use batch_export_source::Moment;

use crate::weekday::Weekday;

const DAY_MICROS: i64 = 86_400_000_000;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Grid {
    /// Multiples of so many microseconds.
    Steps(i64),
    Calendar(Calendar),
}

/// Days, or weeks, that begin at an hour of a time zone.
///
/// A day begins at the first moment whose local time is its date and the hour, or later. Where that hour is skipped,
/// this is the moment of the change; where it comes twice, it is the first time. A date that the zone skips altogether,
/// such as 2011-12-30 in Samoa, begins no day.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Calendar {
    pub zone: TimeZone,
    pub hour: i8,
    /// The day on which weeks begin; `None` for days.
    pub weekday: Option<Weekday>,
}

impl Grid {
    /// The first boundary after a moment. After the last moment that can be written there is none: it returns that.
    pub(crate) fn after(&self, moment: Moment) -> Moment {
        match self {
            Grid::Steps(step) => Moment(step_at_or_before(*step, moment).0.saturating_add(*step)),
            Grid::Calendar(calendar) => match calendar.after(moment) {
                Some(boundary) => boundary,
                None => Grid::Steps(calendar.usual_micros()).after(moment),
            },
        }
    }

    /// The last boundary that is not after a moment.
    pub(crate) fn at_or_before(&self, moment: Moment) -> Moment {
        match self {
            Grid::Steps(step) => step_at_or_before(*step, moment),
            Grid::Calendar(calendar) => match calendar.at_or_before(moment) {
                Some(boundary) => boundary,
                None => step_at_or_before(calendar.usual_micros(), moment),
            },
        }
    }
}

fn step_at_or_before(step: i64, moment: Moment) -> Moment {
    Moment(moment.0.saturating_sub(moment.0.rem_euclid(step)))
}

/// Beginnings that are looked at before the calendar is given up: a clock that is put back by up to a day puts two
/// dates between a moment and its neighbour, and a date that is skipped one more.
const LOOKS: usize = 5;

impl Calendar {
    fn after(&self, moment: Moment) -> Option<Moment> {
        // Everything that an earlier date begins has begun.
        let mut date = self.period_of(self.local_date(moment)?)?;
        for _ in 0..LOOKS {
            match self.beginning(date) {
                Some(beginning) if beginning > moment => return Some(beginning),
                _ => date = self.moved(date, 1)?,
            }
        }
        None
    }

    fn at_or_before(&self, moment: Moment) -> Option<Moment> {
        // Where the clock was put back since, tomorrow has begun once already.
        let mut date = self.moved(self.period_of(self.local_date(moment)?)?, 1)?;
        for _ in 0..LOOKS {
            match self.beginning(date) {
                Some(beginning) if beginning <= moment => return Some(beginning),
                _ => date = self.moved(date, -1)?,
            }
        }
        None
    }

    fn local_date(&self, moment: Moment) -> Option<Date> {
        let timestamp = Timestamp::from_microsecond(moment.0).ok()?;
        Some(self.zone.to_datetime(timestamp).date())
    }

    /// The date with which the period around a date begins.
    fn period_of(&self, date: Date) -> Option<Date> {
        let Some(weekday) = self.weekday else {
            return Some(date);
        };
        let days = (date.weekday().to_sunday_zero_offset() - weekday.number()).rem_euclid(7);
        date.checked_sub(Span::new().days(days)).ok()
    }

    fn moved(&self, date: Date, periods: i64) -> Option<Date> {
        let days = if self.weekday.is_some() { 7 } else { 1 };
        date.checked_add(Span::new().days(days * periods)).ok()
    }

    /// The moment at which the day, or the week, of a date begins; `None` for a day that does not exist.
    fn beginning(&self, date: Date) -> Option<Moment> {
        let local = self.zone.to_ambiguous_timestamp(date.at(self.hour, 0, 0, 0));
        if !matches!(local.offset(), AmbiguousOffset::Gap { .. }) {
            return Some(Moment(local.earlier().ok()?.as_microsecond()));
        }
        let before_change = local.earlier().ok()?;
        let change = self.zone.following(before_change).next()?.timestamp();
        let is_skipped = self.weekday.is_none() && self.zone.to_datetime(change).date() != date;
        (!is_skipped).then(|| Moment(change.as_microsecond()))
    }

    fn usual_micros(&self) -> i64 {
        match self.weekday {
            None => DAY_MICROS,
            Some(_) => 7 * DAY_MICROS,
        }
    }
}
