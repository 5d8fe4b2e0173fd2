//! What was measured of a suite, and its table.

use super::counts::Counts;
use super::measure::Cost;
use super::peers::Peer;

/// One row of a table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The runner.
    pub peer: Peer,
    /// The runner and its situation.
    pub heading: String,
    /// What each measured run cost.
    pub costs: Vec<Cost>,
    /// The numbers that the last run told.
    pub counts: Option<Counts>,
    /// What was wrong with each run, measured or not; none if it was right.
    pub judged: Vec<Option<String>>,
    /// Why there is nothing else.
    pub absent: Option<String>,
}

/// The rows of a suite.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The suite's name.
    pub name: String,
    /// What it is.
    pub title: String,
    /// When, where, and how often.
    pub circumstances: String,
    /// The rows, pytest's first.
    pub rows: Vec<Row>,
}

/// The middle one; between two, their mean.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = numbers.into_iter().collect();
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    match all.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(all[middle]),
        _ => Some(f64::midpoint(all[middle - 1], all[middle])),
    }
}

/// Seconds with three digits that count.
pub fn seconds(time: f64) -> String {
    let digits = match time {
        time if time >= 100.0 => 0,
        time if time >= 10.0 => 1,
        time if time >= 1.0 => 2,
        _ => 3,
    };
    format!("{time:.digits$}")
}

/// How often faster, with two or three digits.
pub fn factor(times: f64) -> String {
    if times >= 10.0 {
        format!("{times:.0}")
    } else {
        format!("{times:.2}")
    }
}

impl Row {
    /// The median of the wall time.
    pub fn wall(&self) -> Option<f64> {
        median(self.costs.iter().map(|cost| cost.wall))
    }

    /// Whether every run told what pytest tells.
    pub fn is_right(&self) -> bool {
        !self.judged.is_empty() && self.judged.iter().all(Option::is_none)
    }

    /// `right`, or what is wrong.
    pub fn verdict(&self) -> String {
        if let Some(reason) = &self.absent {
            return reason.clone();
        }
        let wrong: Vec<&String> = self.judged.iter().flatten().collect();
        match wrong.last() {
            None => "right".into(),
            Some(last) if wrong.len() == self.judged.len() => format!("**wrong**: {last}"),
            Some(last) => format!(
                "**wrong** in {} of {} runs: {last}",
                wrong.len(),
                self.judged.len()
            ),
        }
    }
}

impl Measured {
    /// pytest's time.
    pub fn pytest(&self) -> Option<f64> {
        self.rows.first()?.wall()
    }

    /// The table, with a heading.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## {}\n\n{}. {}\n\n| runner | wall s | pytest ÷ it | CPU s | peak MB | it told | outcomes |\n| --- | ---: | ---: | ---: | ---: | --- | --- |\n",
            self.name, self.title, self.circumstances
        );
        for row in &self.rows {
            let cell = |value: Option<String>| value.unwrap_or_else(|| "–".into());
            let wall = row.wall();
            let times = wall.zip(self.pytest()).map(|(wall, pytest)| pytest / wall);
            let cpu = median(row.costs.iter().map(|cost| cost.cpu));
            let peak = median(row.costs.iter().map(|cost| cost.peak));
            let told = row.counts.map(|counts| counts.to_string());
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {} |\n",
                row.heading,
                cell(wall.map(seconds)),
                cell(times.map(factor)),
                cell(cpu.map(seconds)),
                cell(peak.map(|peak| format!("{peak:.0}"))),
                cell(told),
                row.verdict(),
            ));
        }
        text
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A suite of three rows: pytest, a runner that was wrong once, and one that isn't there.
    pub fn example(name: &str) -> Measured {
        let cost = |wall: f64| Cost {
            wall,
            cpu: wall * 1.5,
            peak: 40.0,
        };
        let counts = Counts {
            passed: 9,
            failed: 1,
            ..Counts::default()
        };
        let row = |peer: Peer, costs: &[f64], judged: Vec<Option<String>>| Row {
            peer,
            heading: peer.name().into(),
            costs: costs.iter().map(|wall| cost(*wall)).collect(),
            counts: Some(counts),
            judged,
            absent: None,
        };
        Measured {
            name: name.into(),
            title: "10 tests".into(),
            circumstances: "2 runs.".into(),
            rows: vec![
                row(Peer::Pytest, &[4.0, 2.0], vec![None, None]),
                row(
                    Peer::Tiderace,
                    &[0.25, 0.25],
                    vec![None, Some("1 failed, not 0".into())],
                ),
                Row {
                    absent: Some("could not be installed".into()),
                    counts: None,
                    ..row(Peer::Karva, &[], vec![])
                },
            ],
        }
    }

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_table_tells_cost_and_what_is_wrong() {
        let expected = "## trivial\n\n10 tests. 2 runs.\n\n\
            | runner | wall s | pytest ÷ it | CPU s | peak MB | it told | outcomes |\n\
            | --- | ---: | ---: | ---: | ---: | --- | --- |\n\
            | pytest | 3.00 | 1.00 | 4.50 | 40 | 9 passed, 1 failed | right |\n\
            | tiderace | 0.250 | 12 | 0.375 | 40 | 9 passed, 1 failed | **wrong** in 1 of 2 runs: 1 failed, not 0 |\n\
            | karva | – | – | – | – | – | could not be installed |\n";
        assert_eq!(example("trivial").markdown(), expected);
    }
}
