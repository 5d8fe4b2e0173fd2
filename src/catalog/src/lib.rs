//! The persistent record of tests, inputs, outcomes and durations.
