//! What bears on what several tests leave just the same.
//!
//! Whoever comes first fills a cache, or makes what is made when it is first needed, and most of what it runs has nothing to do with that.
//! If more than one test function leaves the same, what only some of them ran didn't make it so. An edit of that may still make one of them
//! leave something else, but then it runs, since it ran what was edited, and what it leaves is news to all who may find it (`leftovers`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The functions that ran, as hashes of their files and names, with a hash of each one's text; and what was read, as hashes, with 0.
pub type Ran = BTreeMap<u64, u64>;

/// A test function left something that is wholly known, and what it had run by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The key of the place.
    pub place: u64,
    /// What is there, as one number.
    pub fill: u64,
    /// The test function's name, as a hash.
    pub leaver: u64,
    /// What it ran.
    pub ran: Ran,
}

/// What all those ran that were seen to leave the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bearing {
    /// One of them, and whether there are others.
    leaver: u64,
    is_of_more: bool,
    ran: Ran,
}

/// By places and fills what all those ran that left them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bearings(BTreeMap<(u64, u64), Bearing>);

impl Bearings {
    /// A test function left something. Gives what bears on that, if it's known of more than one that left the same.
    ///
    /// Where the text of a function that all of them ran is another one now, others may run what they ran before for other reasons: what
    /// was known is forgotten.
    pub fn add(&mut self, filled: Filled) -> Option<Arc<Ran>> {
        let Filled {
            place,
            fill,
            leaver,
            ran,
        } = filled;
        let bearing = match self.0.entry((place, fill)) {
            Entry::Vacant(vacant) => {
                vacant.insert(Bearing {
                    leaver,
                    is_of_more: false,
                    ran,
                });
                return None;
            }
            Entry::Occupied(occupied) => occupied.into_mut(),
        };
        let is_other = |(function, text): (&u64, &u64)| {
            let now = ran.get(function);
            now.is_some_and(|now| now != text)
        };
        let is_alone = bearing.leaver == leaver && !bearing.is_of_more;
        if is_alone || bearing.ran.iter().any(is_other) {
            *bearing = Bearing {
                leaver,
                is_of_more: false,
                ran,
            };
            return None;
        }
        bearing.is_of_more = true;
        bearing.ran.retain(|function, _| ran.contains_key(function));
        Some(Arc::new(bearing.ran.clone()))
    }

    /// Those of places and fills of which this says so.
    pub fn kept(&self, is_kept: impl Fn(u64, u64) -> bool) -> Self {
        let kept = self
            .0
            .iter()
            .filter(|((place, fill), _)| is_kept(*place, *fill));
        Self(kept.map(|(key, bearing)| (*key, bearing.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bears(known: &mut Bearings, leaver: u64, ran: &[(u64, u64)]) -> Option<Vec<u64>> {
        let filled = Filled {
            place: 1,
            fill: 2,
            leaver,
            ran: ran.iter().copied().collect(),
        };
        let bears = known.add(filled)?;
        Some(bears.keys().copied().collect())
    }

    #[test]
    fn what_all_ran_bears_on_what_they_left() {
        let mut known = Bearings::default();
        assert_eq!(bears(&mut known, 7, &[(10, 0), (11, 0)]), None);
        // What one of them runs in vain is no news, nor that it was told in parts.
        assert_eq!(bears(&mut known, 7, &[(10, 0), (11, 0), (12, 0)]), None);
        let ran = [(11, 0), (12, 0), (13, 0)];
        assert_eq!(bears(&mut known, 8, &ran), Some(vec![11, 12]));
        assert_eq!(bears(&mut known, 7, &ran[..1]), Some(vec![11]));
        assert_eq!(bears(&mut known, 9, &[(20, 0)]), Some(vec![]));
        assert_eq!(known.kept(|place, fill| (place, fill) == (1, 2)), known);
        assert_eq!(known.kept(|place, _| place == 2), Bearings::default());
    }

    #[test]
    fn it_begins_anew_when_a_function_of_theirs_is_edited() {
        let mut known = Bearings::default();
        bears(&mut known, 7, &[(10, 0), (11, 0)]);
        bears(&mut known, 8, &[(10, 0)]);
        // It calls another one now.
        let edited = [(10, 1), (12, 0)];
        assert_eq!(bears(&mut known, 7, &edited), None);
        assert_eq!(bears(&mut known, 8, &edited), Some(vec![10, 12]));
    }
}
