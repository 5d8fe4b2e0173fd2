//! Tests of a file that differ in name, line and place alone, which is most of them: what they have in common is told once.

use dx_py_core::Marker;

use crate::ProtocolError;
use crate::codec::Reader;
use crate::payload::CollectedItem;

/// Between the names of tests, none of which has it.
const BETWEEN: char = '\n';

/// The end of what is told of a test, as others of its file may have it: what `CollectedItem` has under the same names.
#[derive(Clone)]
pub(crate) struct End {
    pub markers: Vec<Marker>,
    pub is_bound: bool,
    pub shared_fixtures: Vec<String>,
    pub bonds: Vec<String>,
}

impl End {
    pub(crate) fn read(data: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        Ok(Self {
            markers: data.list(|data| {
                Ok(Marker {
                    name: data.str()?,
                    args: data.strs()?,
                    kwargs: data.pairs()?,
                })
            })?,
            is_bound: data.u8()? != 0,
            shared_fixtures: data.strs()?,
            bonds: data.strs()?,
        })
    }
}

/// Reads tests that are alike. Before their names their IDs have the same start, and their keywords are the same but for the names.
pub(crate) fn read(data: &mut Reader<'_>) -> Result<Vec<CollectedItem>, ProtocolError> {
    let start = data.str()?;
    let class_name = data.str()?;
    let keywords = data.strs()?;
    let end = End::read(data)?;
    let names = data.str()?;
    let lines = data.list(Reader::u32)?;
    let places = data.list(Reader::u32)?;
    let names: Vec<&str> = names.split(BETWEEN).collect();
    if names.len() != lines.len() || names.len() != places.len() {
        return Err(ProtocolError::Uneven {
            names: names.len(),
            lines: lines.len(),
            places: places.len(),
        });
    }
    let each = names.into_iter().zip(lines.into_iter().zip(places));
    let tests = each.map(|(name, (line, place))| {
        let End {
            markers,
            is_bound,
            shared_fixtures,
            bonds,
        } = end.clone();
        CollectedItem {
            id: format!("{start}{name}"),
            function: name.to_owned(),
            class_name: class_name.clone(),
            line,
            place,
            keywords: with(&keywords, name),
            markers,
            is_bound,
            shared_fixtures,
            bonds,
        }
    });
    Ok(tests.collect())
}

/// Sorted names with another one.
fn with(sorted: &[String], name: &str) -> Vec<String> {
    let mut all = Vec::with_capacity(sorted.len() + 1);
    all.extend_from_slice(sorted);
    if let Err(at) = sorted.binary_search_by(|other| other.as_str().cmp(name)) {
        all.insert(at, name.to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Writer;

    fn told(names: &str, lines: &[u32], places: &[u32]) -> Vec<u8> {
        let mut out = Writer::new();
        out.str("a.py::TestA::").str("TestA");
        out.strs(&["TestA", "a.py", "test_b", "é"]).u32(0).u8(1);
        out.strs(&["db"]).strs(&["TestA"]).str(names);
        for numbers in [lines, places] {
            out.list(numbers, |out, number| {
                out.u32(*number);
            });
        }
        out.finish()
    }

    #[test]
    fn tests_that_are_alike_are_told_at_once() {
        let bytes = told("test_a\ntest_b", &[7, 9], &[3, 5]);
        let tests = read(&mut Reader::new(&bytes)).unwrap();
        let seen: Vec<_> = tests
            .iter()
            .map(|test| (&*test.id, &*test.function, test.line, test.place))
            .collect();
        assert_eq!(
            seen,
            [
                ("a.py::TestA::test_a", "test_a", 7, 3),
                ("a.py::TestA::test_b", "test_b", 9, 5)
            ]
        );
        assert_eq!(
            tests[0].keywords,
            ["TestA", "a.py", "test_a", "test_b", "é"]
        );
        // Its name is that of something above it.
        assert_eq!(tests[1].keywords, ["TestA", "a.py", "test_b", "é"]);
        let common = |test: &CollectedItem| {
            let is_class = test.class_name == "TestA" && test.bonds == ["TestA"];
            is_class && test.is_bound && test.shared_fixtures == ["db"]
        };
        assert!(tests.iter().all(common));
    }

    #[test]
    fn names_without_a_line_or_a_place_are_an_error() {
        for (names, lines, places) in [
            ("a", &[][..], &[1][..]),
            ("a\nb", &[1, 2], &[1]),
            ("", &[], &[]),
        ] {
            let bytes = told(names, lines, places);
            let error = read(&mut Reader::new(&bytes)).unwrap_err();
            assert!(
                error.to_string().contains("names of tests"),
                "{error} for {names:?}"
            );
        }
    }
}
