//! Tests of the store.

use super::*;
use proptest::prelude::*;

fn store(folder: &Path) -> (Store, PathBuf) {
    let dx = folder.join(".dx");
    fs::create_dir_all(&dx).unwrap();
    fs::write(folder.join("test_a.py"), "").unwrap();
    (Store::new(folder, &dx), folder.join("test_a.py"))
}

/// Lets the files be older than the index, as they are by the time of another run.
fn age(folder: &Path) {
    let store = Store::new(folder, &folder.join(".dx"));
    let mut index = store.index();
    for row in index.rows.values_mut() {
        row.hashed_at += 1_000_000_000;
    }
    fs::write(store.index_path(), index.to_bytes()).unwrap();
}

type Step = (String, String, Vec<u8>, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let content = prop_oneof![
        9 => prop::collection::vec(prop::sample::select(b"ab \n\\|\t".to_vec()), 0..12),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => (0usize..3).prop_map(|more| vec![b'x'; LARGE + more]),
    ];
    prop::collection::vec(("[ab./ ]{1,3}", "text|bytes", content, 0u8..4), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    // Property 17: snapshot update consistency
    #[test]
    fn hash_and_content_change_together(steps in steps(), lost in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().unwrap();
        let (store, source) = store(folder.path());
        let mut expected: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
        let lost = lost.index(steps.len());
        for (at, (name, kind, content, what)) in steps.into_iter().enumerate() {
            let kind = if std::str::from_utf8(&content).is_err() { BYTES.to_owned() } else { kind };
            let accepted = folder.path().join("__snapshots__/test_a.snap");
            if what == 0 {
                store.remove(&accepted, &|each| each == name).unwrap();
                expected.remove(&name);
            } else {
                let before = fs::read(store.index_path()).ok();
                store.update(&source, &BTreeMap::from([(name.clone(), (kind.clone(), content.clone()))])).unwrap();
                expected.insert(name.clone(), (kind, content));
                if at == lost {
                    // As after a crash between the content and the index.
                    match before {
                        Some(bytes) => fs::write(store.index_path(), bytes).unwrap(),
                        None => fs::remove_file(store.index_path()).unwrap(),
                    }
                }
            }
            age(folder.path());
            for (name, (kind, content)) in &expected {
                let check = store.check(&source, name, kind, content).unwrap();
                prop_assert!(matches!(check, Check::Same { .. }), "{name}: {check:?}");
                if at != lost && what != 0 {
                    prop_assert_eq!(check, Check::Same { loaded: false });
                }
                let other = [content.as_slice(), b"!"].concat();
                let differs = Check::Differs { kind: kind.clone(), content: content.clone() };
                prop_assert_eq!(store.check(&source, name, kind, &other).unwrap(), differs);
            }
            prop_assert_eq!(store.check(&source, "none of these", "text", b"").unwrap(), Check::Absent);
            let held: BTreeSet<String> = store.entries(&accepted).unwrap().into_keys().collect();
            prop_assert_eq!(held, expected.keys().cloned().collect::<BTreeSet<_>>());
        }
        // Nothing is left that nobody names, and nothing lies elsewhere.
        let beside = fs::read_dir(folder.path().join("__snapshots__/test_a")).map_or(0, Iterator::count);
        let contents: BTreeSet<(String, &Vec<u8>)> = expected.iter().filter(|(_, (kind, content))| kind == BYTES || content.len() >= LARGE).map(|(name, (kind, content))| (format!("{} {kind}", safe(name)), content)).collect();
        prop_assert_eq!(beside, contents.len());
        let top: BTreeSet<String> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        prop_assert!(top.iter().all(|name| [".dx", "test_a.py", "__snapshots__"].contains(&name.as_str())), "{top:?}");
    }
}

#[test]
fn an_update_that_changes_nothing_makes_up_for_an_index_that_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (store, source) = store(folder.path());
    let values = BTreeMap::from([("a".to_owned(), ("text".to_owned(), b"one".to_vec()))]);
    store.update(&source, &values).unwrap();
    fs::remove_file(store.index_path()).unwrap();
    store.update(&source, &values).unwrap();
    age(folder.path());
    assert_eq!(
        store.check(&source, "a", "text", b"one").unwrap(),
        Check::Same { loaded: false }
    );
}

#[test]
fn a_file_that_is_edited_by_hand_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, source) = store(folder.path());
    let value = |text: &str| {
        BTreeMap::from([(
            "a".to_owned(),
            ("text".to_owned(), text.as_bytes().to_vec()),
        )])
    };
    store.update(&source, &value("one")).unwrap();
    age(folder.path());
    assert_eq!(
        store.check(&source, "a", "text", b"one").unwrap(),
        Check::Same { loaded: false }
    );
    let path = folder.path().join("__snapshots__/test_a.snap");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("one", "two")).unwrap();
    assert_eq!(
        store.check(&source, "a", "text", b"two").unwrap(),
        Check::Same { loaded: true }
    );
    fs::write(store.index_path(), "rubbish").unwrap();
    assert_eq!(
        store.check(&source, "a", "text", b"two").unwrap(),
        Check::Same { loaded: true }
    );
}

#[test]
fn names_of_content_files_stay_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (store, source) = store(folder.path());
    let evil = "../../evil".to_owned();
    store
        .update(
            &source,
            &BTreeMap::from([(evil.clone(), ("bytes".to_owned(), vec![0]))]),
        )
        .unwrap();
    let path = folder.path().join("__snapshots__/test_a.snap");
    let entry = &store.entries(&path).unwrap()[&evil];
    assert!(entry.file.starts_with("test_a/evil-"), "{}", entry.file);
    for file in ["../x.bin", "/etc/passwd", "a/../../x", ""] {
        let result = Place::of_file(&path).unwrap().beside(file);
        assert!(
            matches!(result, Err(SnapshotError::Outside { .. })),
            "{file}"
        );
    }
}

#[test]
fn pending_ones_are_accepted_or_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (store, source) = store(folder.path());
    let pending = folder.path().join("__snapshots__/test_a.snap.new");
    let entries = Entries::from([
        ("a".into(), Entry::text("1")),
        ("b".into(), Entry::text("2")),
    ]);
    write(&pending, &entries).unwrap();
    assert_eq!(store.accept(&pending, &|name| name == "a").unwrap(), ["a"]);
    assert_eq!(
        store.check(&source, "a", "text", b"1").unwrap(),
        Check::Same { loaded: true }
    );
    assert_eq!(store.reject(&pending, &|_| true).unwrap(), ["b"]);
    assert!(!pending.exists());
    assert_eq!(
        store.check(&source, "b", "text", b"2").unwrap(),
        Check::Absent
    );
}
