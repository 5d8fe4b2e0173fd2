//! What tests left behind in earlier runs, so that it is noticed when one leaves something that nobody did before.
//!
//! A fresh test was recorded with what others left at that time. If a change makes a test leave more, no input of the fresh ones tells;
//! but the test that leaves it reached the change, so it runs, and a worker sees what it leaves.

use std::collections::{BTreeMap, BTreeSet};

use dx_py_core::TestId;
use dx_py_discovery::symbols::name_hash;
use dx_py_protocol::Trace;
use serde::{Deserialize, Serialize};

/// What was left, as far as it was ever seen; all names are hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Test functions, and the names under which they left something.
    left: BTreeSet<(u64, u64)>,
    /// Names, and digests of what was found there. Which test is the first to fill a cache differs from run to run.
    found: BTreeSet<(u64, u64)>,
    /// Names of what isn't compared: whoever mentions them counts as one who leaves something there.
    opaque: BTreeSet<u64>,
}

/// What was left for the first time: by names, the tests that did.
pub type News = BTreeMap<String, BTreeSet<String>>;

impl Leftovers {
    /// Adds what a worker told; puts into `news` what nobody did before.
    pub fn add(&mut self, trace: &Trace, news: &mut News) {
        for left in &trace.left {
            let id = TestId::new(&*left.test);
            let test = name_hash(id.function());
            let mut places: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
            for (name, digest) in &left.places {
                places.entry(name).or_default().push(*digest);
            }
            for (place, digests) in places {
                let name = name_hash(place);
                let mut is_new = self.left.insert((test, name)) && !self.opaque.contains(&name);
                let mut is_other = false;
                for digest in digests {
                    is_other |= self.found.insert((name, digest));
                }
                is_new &= is_other;
                if is_new || news.contains_key(place) {
                    let tests = news.entry(place.to_owned()).or_default();
                    tests.insert(id.function().to_owned());
                }
            }
        }
        for place in &trace.opaque {
            if self.opaque.insert(name_hash(place)) {
                news.entry(place.clone()).or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dx_py_protocol::Left;

    fn told(test: &str, places: &[(&str, u64)], opaque: &[&str]) -> Trace {
        Trace {
            left: vec![Left {
                test: test.into(),
                places: places
                    .iter()
                    .map(|(name, digest)| ((*name).into(), *digest))
                    .collect(),
            }],
            opaque: opaque.iter().map(|name| (*name).into()).collect(),
            ..Trace::default()
        }
    }

    #[test]
    fn only_what_nobody_left_is_news() {
        let mut known = Leftovers::default();
        let mut news = |test: &str, place: (&str, u64), more: &[(&str, u64)]| {
            let places: Vec<(&str, u64)> =
                std::iter::once(place).chain(more.iter().copied()).collect();
            let mut news = News::new();
            known.add(&told(test, &places, &["odd"]), &mut news);
            news.into_keys().collect::<Vec<String>>()
        };
        assert_eq!(news("a.py::f[1]", ("cache", 1), &[]), ["cache", "odd"]);
        // The same by another test, something else by the same one, and what isn't compared.
        for (test, place) in [
            ("a.py::g", ("cache", 1)),
            ("a.py::f[2]", ("cache", 2)),
            ("a.py::g", ("odd", 3)),
        ] {
            assert!(news(test, place, &[]).is_empty(), "{test}");
        }
        assert_eq!(news("a.py::h", ("cache", 1), &[("cache", 3)]), ["cache"]);
    }
}
