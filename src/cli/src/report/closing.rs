//! The words that a run ends with.

use dx_py_core::{RunSummary, TestStatus};

use super::style::count;
use crate::run::exit;

/// The last line of a run.
pub fn final_line(summary: &RunSummary) -> String {
    let wall = format!("{:.2} s", summary.wall.as_secs_f64());
    let mut left_out = String::new();
    if summary.deselected > 0 {
        left_out = format!(" · {} left out", summary.deselected);
    }
    if summary.ran_total() == 0 && summary.collection_errors == 0 && summary.not_run == 0 {
        let was_cut_short = matches!(
            summary.exit_code,
            exit::INTERRUPTED | exit::INTERNAL | exit::USAGE
        );
        if summary.fresh_total() == 0 {
            if was_cut_short {
                return format!("nothing was run, in {wall}");
            }
            return format!("no tests to run{left_out} in {wall}");
        }
        let what = if was_cut_short {
            "nothing was run"
        } else {
            "nothing to run"
        };
        let kinds = kinds(&summary.fresh);
        return format!(
            "{what}: {} fresh ({kinds}){left_out} in {wall}",
            summary.fresh_total()
        );
    }
    let mut line = kinds(&summary.ran);
    if summary.collection_errors > 0 {
        let errors = count(summary.collection_errors, "collection error");
        line = if line.is_empty() {
            errors
        } else {
            format!("{line}, {errors}")
        };
    }
    if summary.not_run > 0 {
        line.push_str(&format!(", {} not run", summary.not_run));
    }
    let mut line = format!("{} in {wall}", line.trim_start_matches(", "));
    if summary.fresh_total() > 0 {
        line.push_str(&format!(" · {} fresh", summary.fresh_total()));
    }
    if summary.verified.0 > 0 {
        line.push_str(&format!(" · {} verified", summary.verified.0));
    }
    line.push_str(&left_out);
    let wall = summary.wall.as_secs_f64();
    if wall > 0.0
        && summary.ran_total() + summary.fresh_total() > 1
        && summary.recorded > summary.wall
    {
        let factor = summary.recorded.as_secs_f64() / wall;
        line.push_str(&format!(" · {factor:.1}x speed-up over recorded durations"));
    }
    line
}

/// Outcomes with their numbers: `1 failed, 2 passed`.
fn kinds(counts: &[usize; 6]) -> String {
    let order = [
        TestStatus::Failed,
        TestStatus::Passed,
        TestStatus::Skipped,
        TestStatus::XFailed,
        TestStatus::XPassed,
        TestStatus::Error,
    ];
    let parts: Vec<String> = order
        .iter()
        .map(|status| (counts[usize::from(status.code())], status))
        .filter(|(number, _)| *number > 0)
        .map(|(number, status)| match status {
            TestStatus::Error => count(number, "error"),
            status => format!("{number} {status}"),
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_cut_short_does_not_say_that_there_was_nothing_to_run() {
        let mut summary = RunSummary::default();
        let mut line = |code, fresh| {
            summary.exit_code = code;
            if fresh {
                summary.count_fresh(TestStatus::Passed);
            }
            final_line(&summary)
        };
        assert_eq!(line(exit::NO_TESTS, false), "no tests to run in 0.00 s");
        assert_eq!(line(exit::INTERRUPTED, false), "nothing was run, in 0.00 s");
        assert_eq!(
            line(0, true),
            "nothing to run: 1 fresh (1 passed) in 0.00 s"
        );
        let cut_short = "nothing was run: 1 fresh (1 passed) in 0.00 s";
        assert_eq!(line(exit::INTERRUPTED, false), cut_short);
    }
}
