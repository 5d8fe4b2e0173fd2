//! Colours and texts for the terminal.

use std::time::Duration;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Success.
    Green,
    /// Failure.
    Red,
    /// Skips and warnings.
    Yellow,
    /// What matters less.
    Dim,
    /// Headings.
    Bold,
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether colours are used.
    pub color: bool,
}

impl Style {
    /// `text`, with a look.
    pub fn paint(self, look: Look, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match look {
            Look::Green => "32",
            Look::Red => "31",
            Look::Yellow => "33",
            Look::Dim => "2",
            Look::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Text without what would move the cursor or change the terminal: control characters are shown as escapes.
pub fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let plain = !c.is_control();
            let escaped = (!plain).then(|| c.escape_default());
            plain
                .then_some(c)
                .into_iter()
                .chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// A duration for people: `3 ms`, `1.24 s`, `2 m 05 s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.001 {
        format!("{} µs", duration.as_micros())
    } else if seconds < 1.0 {
        format!("{} ms", duration.as_millis())
    } else if seconds < 60.0 {
        format!("{seconds:.2} s")
    } else {
        format!(
            "{} m {:02} s",
            duration.as_secs() / 60,
            duration.as_secs() % 60
        )
    }
}

/// `1 test`, `2 tests`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(one_line("a\x1b[31m\né"), "a\\u{1b}[31m\\né");
    }

    #[test]
    fn durations_have_a_unit_that_fits() {
        let shown = |micros| duration(Duration::from_micros(micros));
        assert_eq!(
            [
                shown(12),
                shown(3_400),
                shown(1_240_000),
                shown(125_000_000)
            ],
            ["12 µs", "3 ms", "1.24 s", "2 m 05 s"]
        );
    }
}
