//! Functions that `-m` leaves out with all their tests: only how many these are is worked out, unless somebody sees them or has a say.
//! The oracle is pytest.

use crate::support::{Project, is_known};

const INI: &str = "[pytest]\nmarkers =\n    slow\n    fast\naddopts = -m 'not slow'\n";
/// Tells of each function for which pytest works out sets of parameters.
const TELLS: &str = "import pytest\nfrom _pytest.python import Metafunc\n_parametrize = Metafunc.parametrize\n\
    def parametrize(self, *args, **kwargs):\n    with open(self.config.rootpath / 'made', 'a') as file: file.write(self.function.__name__ + '\\n')\n    _parametrize(self, *args, **kwargs)\n\
    Metafunc.parametrize = parametrize\n";

/// Runs a project by both engines and by pytest, and gives how many tests were left out, and for how many functions the lean engine made
/// sets of parameters that some test of is left out.
fn left_out(project: &Project, args: &[&str]) -> (u64, usize) {
    let (code, outcomes) = project.pytest(args);
    let mut found = None;
    for (engine, workers) in [("pytest", "1"), ("lean", "2"), ("lean", "1")] {
        let _ = std::fs::remove_file(project.path().join("made"));
        let all = [&["--all", "--engine", engine, "-n", workers], args].concat();
        let run = project.test(&all);
        assert_eq!(
            (run.code, &run.outcomes()),
            (code, &outcomes),
            "{}",
            run.out
        );
        let number = run.json["summary"]["deselected"]
            .as_u64()
            .expect("a number");
        let (others, _) = *found.get_or_insert((number, 0));
        assert_eq!(number, others, "{engine} -n {workers}: {}", run.out);
        let made = std::fs::read_to_string(project.path().join("made")).unwrap_or_default();
        let made = made.lines().filter(|name| name.starts_with("test_slow"));
        found = Some((number, made.count()));
    }
    found.expect("three runs")
}

#[test]
fn of_plain_parameters_no_tests_are_made() {
    let project = Project::new(&[
        ("pytest.ini", INI),
        ("conftest.py", TELLS),
        (
            "test_a.py",
            "import pytest\nslow = pytest.mark.slow\n\
             @slow\n@pytest.mark.parametrize('n', range(500))\ndef test_slow_range(n): pass\n\
             @slow\n@pytest.mark.parametrize('a, b', [(1, 'x'), [2.5, None]])\n@pytest.mark.parametrize('c', (True, b'y', 3))\ndef test_slow_product(a, b, c, tmp_path): pass\n\
             @slow\nclass TestSlow:\n    @pytest.mark.parametrize('n', [1, 1, 2])\n    def test_slow_method(self, n): pass\n\
             @pytest.mark.parametrize('n', [1, 2])\ndef test_fast(n): pass\n",
        ),
    ]);
    let made = if is_known() { 0 } else { 4 };
    assert_eq!(left_out(&project, &[]), (509, made));
    // The expression is the user's.
    assert_eq!(left_out(&project, &["-m", "fast"]).0, 511);
    // What is named is looked for: that it is left out is no mistake of the user's.
    for named in ["test_a.py::test_slow_range", "test_a.py::TestSlow"] {
        left_out(&project, &[named]);
    }
    let (number, made) = left_out(&project, &["-m", "slow"]);
    assert_eq!((number, made), (2, 4));
}

#[test]
fn parameters_with_marks_are_asked_one_by_one() {
    let project = Project::new(&[
        ("pytest.ini", INI),
        (
            "test_a.py",
            "import pytest\nslow, fast = pytest.mark.slow, pytest.mark.fast\n\
             @slow\n@pytest.mark.parametrize('n', [1, pytest.param(2, marks=fast), 3])\ndef test_slow(n): pass\n\
             @pytest.fixture(params=[1, pytest.param(2, marks=fast)])\ndef made(request): return request.param\n\
             @slow\ndef test_slow_fixture(made): pass\n\
             @slow\n@pytest.mark.parametrize('n', [4])\ndef test_slow_both(n, made): pass\n",
        ),
    ]);
    assert_eq!(left_out(&project, &["-m", "fast or not slow"]).0, 4);
}

#[test]
fn what_is_wrong_with_parameters_is_told_all_the_same() {
    for wrong in [
        "@pytest.mark.parametrize('other', [1])\ndef test_slow(n): pass\n",
        "@pytest.mark.parametrize('n', [1])\ndef test_slow(n=2): pass\n",
        "@pytest.mark.parametrize('a, b', [(1, 2), (3,)])\ndef test_slow(a, b): pass\n",
        "@pytest.mark.parametrize('n', [1], ids=['a', 'b'])\ndef test_slow(n): pass\n",
        "@pytest.mark.parametrize('n', [1])\n@pytest.mark.parametrize('n', [2])\ndef test_slow(n): pass\n",
        "@pytest.mark.parametrize(['n'], [1])\ndef test_slow(n): pass\n",
        "@pytest.mark.parametrize('request', [1])\ndef test_slow(request): pass\n",
        "@pytest.mark.parametrize('n', [])\ndef test_slow(n): pass\n",
    ] {
        let text = format!("import pytest\n@pytest.mark.slow\n{wrong}def test_b(): pass\n");
        let project = Project::new(&[("pytest.ini", INI), ("test_a.py", &text)]);
        left_out(&project, &[]);
    }
    let project = Project::new(&[("pytest.ini", INI), ("test_a.py", "def test_a(): pass\n")]);
    let run = project.test(&["-m", "not ("]);
    assert_eq!(run.code, 4, "{}", run.out);
}

/// A hook of some folder's conftest hears of the tests of all folders, those too that were left out before it was there.
#[test]
fn who_hears_of_tests_hears_of_all() {
    let parametrised = "import pytest\n@pytest.mark.slow\n@pytest.mark.parametrize('n', [1, 2])\ndef test_slow(n): pass\ndef test_b(): pass\n";
    for hook in [
        "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_collection_modifyitems(items):\n    for item in items:\n        item.own_markers[:] = []\n",
        "def pytest_itemcollected(item):\n    item.own_markers[:] = []\n",
        "def pytest_deselected(items):\n    open('heard', 'w').write(''.join(item.nodeid for item in items))\n",
    ] {
        for folder in ["", "b/"] {
            let conftest = format!("{folder}conftest.py");
            let project = Project::new(&[
                ("pytest.ini", INI),
                (&conftest, hook),
                ("a/test_a.py", parametrised),
                ("b/test_b.py", parametrised),
                ("c/test_c.py", parametrised),
            ]);
            let _ = project.pytest(&[]);
            let heard = || std::fs::read_to_string(project.path().join("heard"));
            let expected = heard().ok();
            let _ = std::fs::remove_file(project.path().join("heard"));
            left_out(&project, &[]);
            let _ = std::fs::remove_file(project.path().join("heard"));
            project.test(&["--all", "-n", "1"]);
            assert_eq!(heard().ok(), expected, "{hook} in {folder:?}");
        }
    }
}
