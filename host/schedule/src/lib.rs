//! Schedules of exports.
