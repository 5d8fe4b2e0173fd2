//! Which fresh tests run all the same, to see whether they deserve it.

use std::hash::{DefaultHasher, Hash, Hasher};

use dx_py_core::TestId;

/// A share of the tests, another one each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    percent: f64,
    salt: u64,
}

impl Sample {
    /// A sample of so many in a hundred; `salt` decides which.
    pub fn new(percent: f64, salt: u64) -> Self {
        Self { percent, salt }
    }

    /// Whether a test is in it.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share needs no more than 53 bits"
    )]
    pub fn includes(&self, test: &TestId) -> bool {
        if self.percent <= 0.0 {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        (self.salt, test.as_str()).hash(&mut hasher);
        (hasher.finish() as f64 / u64::MAX as f64) * 100.0 < self.percent || self.percent >= 100.0
    }
}

/// Reads a share: a number from 0 to 100, with or without `%`.
///
/// # Errors
/// If it is something else.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a percentage from 0 to 100 is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_about_its_share_and_differs_each_time() {
        let tests: Vec<TestId> = (0..2_000)
            .map(|number| TestId::new(format!("a.py::test_{number}")))
            .collect();
        let chosen = |percent: f64, salt: u64| -> Vec<&TestId> {
            let sample = Sample::new(percent, salt);
            tests.iter().filter(|test| sample.includes(test)).collect()
        };
        assert_eq!(chosen(0.0, 1).len(), 0);
        assert_eq!(chosen(100.0, 1).len(), 2_000);
        assert!((120..280).contains(&chosen(10.0, 1).len()));
        assert_ne!(chosen(10.0, 1), chosen(10.0, 2));
        assert_eq!(chosen(10.0, 1), chosen(10.0, 1));
    }

    #[test]
    fn percentages() {
        assert_eq!(percent("2%"), Ok(2.0));
        assert_eq!(percent("0.5"), Ok(0.5));
        for wrong in ["", "x", "101", "-1", "nan", "%"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
