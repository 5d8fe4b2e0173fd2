//! pytest's order of tests, where it isn't one file after another: plugins sort, and pytest groups by wide fixtures' parameters.

use dx_py_protocol::Collected;

/// The files in pytest's order, each as often as tests of others come between its own. `order` names files by number, with how many of
/// their tests come next.
pub fn in_order(files: Vec<Collected>, order: &[(u32, u32)]) -> Vec<Collected> {
    let mut rest: Vec<_> = files
        .into_iter()
        .map(|file| (file.file, file.path, file.items.into_iter()))
        .collect();
    order
        .iter()
        .filter_map(|(number, count)| {
            let (file, path, items) = rest.get_mut(*number as usize)?;
            Some(Collected {
                file: file.clone(),
                path: path.clone(),
                items: items.take(*count as usize).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dx_py_protocol::CollectedItem;

    #[test]
    fn files_come_in_pieces() {
        let file = |name: &str, tests: &[&str]| Collected {
            file: name.into(),
            path: format!("/{name}"),
            items: tests
                .iter()
                .map(|test| CollectedItem {
                    id: (*test).into(),
                    ..CollectedItem::default()
                })
                .collect(),
        };
        let files = vec![file("a", &["a1", "a2", "a3"]), file("b", &["b1"])];
        assert_eq!(
            in_order(files, &[(0, 1), (1, 1), (0, 2), (7, 1)]),
            [
                file("a", &["a1"]),
                file("b", &["b1"]),
                file("a", &["a2", "a3"])
            ]
        );
    }
}
