//! What differs from one run to the next, and from one machine to another, and is left out of comparisons.

use regex::Regex;

/// What is masked, and what stands there instead. Nothing else is.
const MASKS: [(&str, &str); 9] = [
    // Versions.
    (r"\b(dx-py |Python |pytest-)\d[\w.]*", "${1}VERSION"),
    // Dates, before durations.
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE"),
    (r"\b\d+(\.\d+)? ?(ns|µs|ms|s)\b", "TIME"),
    (r" · \d+\.\d+x speed-up over recorded durations", ""),
    (r"\b\d+ workers?\b", "WORKERS"),
    // The digest in the name of a damaged file, and the bars of durations.
    (r"damaged-\d+", "damaged-NUMBER"),
    ("[▁▂▃▄▅▆▇█]+", "BARS"),
    // Lines across the terminal.
    ("[─═]{2,}", "──"),
    // Columns are as wide as what stands in them.
    (r"(\S) {2,}", "${1} "),
];

/// Lines as they are compared. Tests that ran follow each other in no certain order, so their lines are sorted.
pub fn masked(lines: &[String], places: &[(String, &str)]) -> Vec<String> {
    let masks: Vec<(Regex, &str)> = MASKS
        .iter()
        .map(|(pattern, instead)| (Regex::new(pattern).expect("the masks are valid"), *instead))
        .collect();
    let mut masked: Vec<String> = lines
        .iter()
        .map(|line| {
            let mut line = line.trim_end().to_owned();
            for (place, name) in places {
                line = line.replace(place, name);
            }
            for (pattern, instead) in &masks {
                line = pattern.replace_all(&line, *instead).into_owned();
            }
            line
        })
        .collect();
    for tests in masked.chunk_by_mut(|one, next| is_of_test(one) && is_of_test(next)) {
        tests.sort();
    }
    while masked.last().is_some_and(String::is_empty) {
        masked.pop();
    }
    masked
}

fn is_of_test(line: &str) -> bool {
    ["✓ ", "✗ ", "⚠ ", "x "]
        .iter()
        .any(|mark| line.starts_with(mark))
        && line.contains("::")
}

/// Whether the lines are those that are shown. `…` alone in a line stands for any number of lines.
pub fn matches(shown: &[String], lines: &[String]) -> bool {
    let Some(gap) = shown.iter().position(|line| line == "…") else {
        return shown == lines;
    };
    let (before, after) = (&shown[..gap], &shown[gap + 1..]);
    lines.starts_with(before) && (gap..=lines.len()).any(|start| matches(after, &lines[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_differs_by_chance_is_masked() {
        let places = [("/tmp/x".to_owned(), "/home/me/project")];
        let one = "dx-py 0.1.0 · Python 3.11.7, pytest-9.2.0 · 2 workers\n✓ a::b (1 ms)\n✓ a::a (2.5 s)\n✓ 2 passed in 0.5 s\nat /tmp/x/y\n";
        let other = "dx-py 1.0 · Python 3.9, pytest-7.4.4 · 1 worker\n✓ a::a (1 s)\n✓ a::b  (3 µs)\n✓ 2 passed in 7 s\nat /home/me/project/y\n";
        assert_eq!(masked(&lines(one), &places), masked(&lines(other), &places));
        let wrong = other.replace("2 passed", "3 passed");
        assert_ne!(
            masked(&lines(one), &places),
            masked(&lines(&wrong), &places)
        );
    }

    #[test]
    fn an_ellipsis_stands_for_any_lines() {
        let all = lines("a\nb\nc\nd");
        for shown in [
            "a\nb\nc\nd",
            "a\n…\nd",
            "…\nd",
            "a\n…",
            "a\n…\nb\nc\nd",
            "…\nb\n…",
        ] {
            assert!(matches(&lines(shown), &all), "{shown}");
        }
        for shown in ["a\nb\nc", "…\nc", "b\n…", "a\n…\nc", "…\nb\n…\na\n…"] {
            assert!(!matches(&lines(shown), &all), "{shown}");
        }
    }
}
