//! Fixtures that live longer than a test: what runs while one is set up is an input of each test that may see what came of it, in each way
//! in which a test can come to it, and of no others. Every outcome is compared with pytest's.

use crate::functions::{SELECTING, runs};
use crate::support::{Project, sees_functions};

/// A library with a function that only a fixture calls, and one that the first test calls itself.
const LIB: &str = "def made(): return 1\n\ndef own(): return 1\n\ndef other(): return 1\n";

/// `lib.py`, and tests of which the first sets up `wide`.
fn files(tests: &str) -> [(&str, &str); 2] {
    [("lib.py", LIB), ("test_a.py", tests)]
}

#[test]
fn whoever_asks_for_it_reaches_what_set_it_up() {
    let tests = "import lib, pytest\n\
        @pytest.fixture(scope='module')\ndef wide(): return lib.made()\n\
        @pytest.fixture\ndef narrow(wide): return wide\n\
        @pytest.fixture\ndef asking(request): return request.getfixturevalue('wide')\n\
        @pytest.fixture(scope='module')\ndef wider(request): return request.getfixturevalue('wide')\n\
        @pytest.fixture(scope='module')\ndef widest(wide): return wide\n\
        def test_first(wide): assert wide == 1 and lib.own() == 1\n\
        def test_argument(wide): assert wide == 1\n\
        @pytest.mark.usefixtures('wide')\ndef test_mark(): pass\n\
        def test_narrow(narrow): assert narrow == 1\n\
        def test_asking(asking): assert asking == 1\n\
        def test_request(request): assert request.getfixturevalue('wide') == 1\n\
        def test_wider(wider): assert wider == 1\n\
        def test_wider_again(wider): assert wider == 1\n\
        def test_widest(widest): assert widest == 1\n\
        class TestIt:\n    def test_method(self, wide): assert wide == 1\n\
        @pytest.mark.parametrize('n', [1, 2])\ndef test_n(n, wide): assert wide == 1\n\
        def test_none(): assert lib.other() == 1\n\
        def test_none_either(tmp_path): assert lib.other() == 1\n\
        def test_none_of_these(): pass\n\
        def test_nor_here(): pass\n";
    let users = [
        "test_argument",
        "test_asking",
        "test_first",
        "test_mark",
        "test_method",
        "test_n[1]",
        "test_n[2]",
        "test_narrow",
        "test_request",
        "test_wider",
        "test_wider_again",
        "test_widest",
    ];
    let many: String = (0..20)
        .map(|n| format!("def test_more{n}(): pass\n"))
        .collect();
    let tests = format!("{tests}{many}");
    runs(
        &files(&tests),
        "made(): return 1",
        "made(): return 2",
        &users,
    );
    // What the one that set it up ran itself is its own.
    runs(
        &files(&tests),
        "own(): return 1",
        "own(): return 2",
        &["test_first"],
    );
    runs(
        &files(&tests),
        "other(): return 1",
        "other(): return 2",
        &["test_none", "test_none_either"],
    );
}

/// It may be set up for one file and used in others, also by those that had run the same before.
#[test]
fn it_may_be_used_in_other_files() {
    let uses = "import lib\ndef test_b(wide): assert wide == 1\n\
        def test_c(): pass\ndef test_d(): pass\ndef test_e(): pass\n";
    let files = [
        ("lib.py", LIB),
        (
            "conftest.py",
            "import lib, pytest\n@pytest.fixture(scope='session')\ndef wide(): return lib.made() if lib.other() else 0\n",
        ),
        (
            "test_a.py",
            "import lib\ndef test_before(): assert lib.made() == 1\ndef test_a(wide): assert wide == 1\ndef test_after(): assert lib.own()\ndef test_last(): pass\n",
        ),
        ("test_b.py", uses),
        ("test_z.py", "import lib\ndef test_z(): pass\n"),
    ];
    runs(
        &files,
        "made(): return 1",
        "made(): return 2",
        &["test_a", "test_b", "test_before"],
    );
    runs(
        &files,
        "own(): return 1",
        "own(): return 3",
        &["test_after"],
    );
}

/// A test that doesn't ask for it finds what its set-up has done elsewhere.
#[test]
fn what_it_leaves_elsewhere_is_found_by_others() {
    let set_up = [
        ("lib.STATE = lib.made()", "lib.STATE == 1"),
        ("lib.KEPT.append(lib.made())", "lib.KEPT == [1]"),
        ("lib.cached()", "lib.cached() == 1"),
        ("lib.Thing.size = lib.made()", "lib.Thing().size == 1"),
        (
            "os.environ['OF_WIDE'] = str(lib.made())",
            "os.environ.get('OF_WIDE') == '1'",
        ),
    ];
    for (does, finds) in set_up {
        let lib = format!(
            "import functools\nSTATE = None\nKEPT = []\nclass Thing: size = 0\n\n\
            @functools.lru_cache\ndef cached(): return made()\n\n{LIB}"
        );
        let conftest = format!(
            "import lib, os, pytest\n@pytest.fixture(scope='module')\ndef wide(): {does}\n"
        );
        let tests = format!(
            "import lib, os\n\
            def test_first(wide): pass\n\
            def test_finds(): assert {finds}\n\
            def test_none(): pass\ndef test_nor_here(): pass\ndef test_nor_there(): pass\n"
        );
        let files = [
            ("lib.py", lib.as_str()),
            ("conftest.py", conftest.as_str()),
            ("test_a.py", tests.as_str()),
        ];
        runs(
            &files,
            "made(): return 1",
            "made(): return 2",
            &["test_finds", "test_first"],
        );
    }
}

/// What a thread or another process was begun for isn't seen.
#[test]
fn what_begins_a_thread_is_every_tests() {
    let tests = "import lib, pytest, threading\n\
        class Server(threading.Thread):\n    def run(self): pass\n\
        @pytest.fixture(scope='module')\ndef wide():\n    server = Server()\n    server.start()\n    lib.made()\n    server.join()\n\
        def test_first(wide): pass\n\
        def test_none(): pass\ndef test_nor_here(): pass\ndef test_nor_there(): pass\n";
    runs(
        &files(tests),
        "made(): return 1",
        "made(): return 2",
        &["test_first", "test_none", "test_nor_here", "test_nor_there"],
    );
}

/// One that fails is set up for nobody, and fails whoever asks for it.
#[test]
fn one_that_fails_is_every_tests() {
    let tests = "import lib, pytest\n\
        @pytest.fixture(scope='module')\ndef wide(): assert lib.made() == 2\n\
        @pytest.mark.xfail\ndef test_first(wide): pass\n\
        @pytest.mark.xfail\ndef test_asks(request): request.getfixturevalue('wide')\n\
        def test_none(): pass\ndef test_nor_here(): pass\ndef test_nor_there(): pass\n";
    let project = Project::new(&files(tests));
    assert_eq!(project.test(&SELECTING).code, 0);
    project.write("lib.py", &LIB.replacen("return 1", "return 2", 1));
    let run = project.test(&SELECTING);
    assert_eq!(run.outcomes(), project.pytest(&[]).1, "{}", run.out);
    assert_eq!(run.outcome("test_asks"), "xpassed");
}

/// With each parameter it is set up anew, and so it is when a narrower one is over.
#[test]
fn parameters_and_classes_set_it_up_again() {
    let tests = "import lib, pytest\n\
        @pytest.fixture(scope='module', params=['made', 'other'])\ndef wide(request): return getattr(lib, request.param)()\n\
        @pytest.fixture(scope='class')\ndef of_class(): return lib.own()\n\
        def test_one(wide): assert wide == 1\n\
        def test_two(wide): assert wide == 1\n\
        class TestA:\n    def test_a(self, of_class): assert of_class == 1\n\
        class TestB:\n    def test_b(self, of_class): assert of_class == 1\n    def test_none(self): pass\n    def test_nor_here(self): pass\n\
        def test_neither(): pass\ndef test_nor_there(): pass\n";
    let of_wide = [
        "test_one[made]",
        "test_one[other]",
        "test_two[made]",
        "test_two[other]",
    ];
    runs(
        &files(tests),
        "other(): return 1",
        "other(): return 2",
        &of_wide,
    );
    runs(
        &files(tests),
        "made(): return 1",
        "made(): return 2",
        &of_wide,
    );
    runs(
        &files(tests),
        "own(): return 1",
        "own(): return 2",
        &["test_a", "test_b"],
    );
}

/// What is torn down runs in the test that is the last one to need it.
#[test]
fn a_teardown_that_comes_to_fail_is_seen() {
    let tests = "import lib, pytest\n\
        @pytest.fixture(scope='module')\ndef wide():\n    yield lib.made()\n    assert lib.own() == 1\n\
        def test_first(wide): assert wide == 1\n\
        def test_none(): pass\n\
        def test_last(wide): assert wide == 1\n";
    let project = Project::new(&files(tests));
    assert_eq!(project.test(&SELECTING).code, 0);
    project.write("lib.py", &LIB.replace("own(): return 1", "own(): return 2"));
    let run = project.test(&SELECTING);
    assert_eq!(run.code, project.pytest(&[]).0, "{}", run.out);
    assert_eq!(run.outcome("test_last"), "error", "{}", run.out);
}

/// However many of a file's test functions use one, what runs for it is no matter to another.
#[test]
fn what_most_of_a_file_use_is_not_what_all_use() {
    let tests = "import lib, pytest\n\
        @pytest.fixture(scope='module')\ndef wide(): return lib.made()\n\
        def test_first(wide): assert wide == 1\n\
        def test_second(wide): assert wide == 1\n\
        def test_third(): pass\n";
    let project = Project::new(&files(tests));
    assert_eq!(project.test(&SELECTING).code, 0);
    project.write("lib.py", &LIB.replacen("return 1", "return 3 - 2", 1));
    let ran = if sees_functions() { 2 } else { 3 };
    assert_eq!(project.test(&SELECTING).ran(), ran);
    project.write("lib.py", &LIB.replace("own(): return 1", "own(): return 2"));
    let ran = if sees_functions() { 0 } else { 3 };
    assert_eq!(project.test(&SELECTING).ran(), ran);
}

/// What one leaves comes of what ran for it, and of nothing that its first user ran besides, other fixtures included.
#[test]
fn what_it_leaves_comes_of_what_set_it_up() {
    let lib = format!("STATE = None\n{LIB}");
    let files = [
        ("lib.py", lib.as_str()),
        (
            "conftest.py",
            "import lib, pytest\n\
            @pytest.fixture(scope='session')\ndef wide(): return lib.own()\n\
            @pytest.fixture(scope='module')\ndef asking(request, wide): return wide\n\
            @pytest.fixture(scope='module', autouse=True)\ndef setting(): lib.STATE = lib.made()\n",
        ),
        (
            "test_a.py",
            "import lib\n\
            def test_first(wide): assert lib.other() == 1\n\
            def test_asking(asking): pass\n\
            def test_state(): assert lib.STATE == 1\n\
            def test_none(): pass\ndef test_nor_here(): pass\ndef test_nor_there(): pass\n",
        ),
    ];
    runs(
        &files,
        "own(): return 1",
        "own(): return 2",
        &["test_asking", "test_first"],
    );
    runs(
        &files,
        "other(): return 1",
        "other(): return 2",
        &["test_first"],
    );
    runs(
        &files,
        "made(): return 1",
        "made(): return 2",
        &[
            "test_asking",
            "test_first",
            "test_none",
            "test_nor_here",
            "test_nor_there",
            "test_state",
        ],
    );
}
