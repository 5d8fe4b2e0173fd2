//! The lean path: what pytest's own hook implementations do holds on it too. Each test is a row of the table in ARCHITECTURE.md. The
//! oracle is pytest's protocol (`--engine pytest`), which the other tests compare with pytest itself.

use serde_json::Value;

use crate::support::{Project, Run, is_known};

/// A text with the addresses of objects replaced.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + "0x…" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit())
    })
}

/// What a run says of its tests, without durations and addresses.
fn told(run: &Run) -> Value {
    let mut tests = run.json["tests"].clone();
    for test in tests.as_array_mut().into_iter().flatten() {
        test.as_object_mut().map(|test| test.remove("duration"));
    }
    let all =
        serde_json::json!({"tests": tests, "warnings": run.json["warnings"], "code": run.code});
    serde_json::from_str(&without_addresses(&all.to_string()))
        .expect("a document without addresses is one still")
}

/// Runs the project by both engines, and gives the lean one's run, in which so many tests took the lean path.
fn agree(project: &Project, args: &[&str], lean: u64) -> Run {
    let with = |engine| {
        let mut all = vec!["--all", "-n", "1", "--engine", engine];
        all.extend(args);
        project.test(&all)
    };
    let (full, run) = (with("pytest"), with("lean"));
    assert_eq!(full.json["summary"]["lean"], 0);
    assert_eq!(
        run.json["summary"]["lean"],
        if is_known() { lean } else { 0 },
        "{}",
        run.json["summary"]["full_protocol"]
    );
    assert_eq!(told(&run), told(&full), "{}", run.out);
    let own: Vec<&str> = args.iter().copied().filter(|arg| *arg != "--").collect();
    let (code, outcomes) = project.pytest(&own);
    let sorted: std::collections::BTreeMap<String, String> = run.outcomes();
    assert_eq!((run.code, sorted), (code, outcomes));
    run
}

fn file(text: &str) -> Project {
    Project::new(&[("test_a.py", text)])
}

#[test]
fn set_up_call_and_teardown_fail_with_the_same_text() {
    let project = file(
        "import pytest\n\
         @pytest.fixture\ndef broken(): raise ValueError('set up')\n\
         @pytest.fixture\ndef late():\n    yield\n    assert [1] == [2]\n\
         @pytest.fixture(scope='module')\ndef wide():\n    yield\n    raise KeyError('wide')\n\
         def helper(x):\n    def inner(): assert x == 3, f'no {x}'\n    inner()\n\
         def test_good(): pass\n\
         def test_broken(broken): pass\n\
         def test_late(late): pass\n\
         def test_late_and_bad(late): assert 0\n\
         def test_nested(): helper(2)\n\
         def test_chain():\n    try: 1 / 0\n    except ZeroDivisionError as error: raise RuntimeError('x') from error\n\
         def test_exit(): raise SystemExit(3)\n\
         def test_fail(): pytest.fail('so', pytrace=False)\n\
         def test_returns(): return 3\n\
         def test_wide(wide): pass\n\
         class TestClass:\n    def setup_method(self): self.x = 1\n    def test_x(self): assert self.x == 2\n",
    );
    agree(&project, &[], 11);
    agree(&project, &["-l", "-v"], 11);
    agree(&project, &["--tb=short"], 11);
    agree(&project, &["--tb=native"], 0);
}

/// Such tests are only called, and are collected by what they have in common; what they do shows as that of any other test.
#[test]
fn tests_that_use_no_fixture() {
    let project = file(
        "import logging, os, subprocess, sys, warnings\nimport pytest\n\
         def test_first(): pass\n\
         def test_prints(): print('unseen')\n\
         def test_prints_below(): os.write(1, b'unseen below')\n\
         def test_child(): subprocess.run('echo unseen child; echo unseen error >&2', shell=True)\n\
         def test_own_output(): print('seen'); os.write(2, b'seen below'); assert 0\n\
         def test_logs(): logging.warning('unseen')\n\
         def test_own_log(): logging.warning('seen'); assert 0\n\
         def test_warns(): warnings.warn('once')\n\
         def test_warns_again(): warnings.warn('again', stacklevel=2)\n\
         def warn(): warnings.warn('at one place')\n\
         def test_warns_there(): warn(); warn()\n\
         def test_warns_there_again(): warn()\n\
         def test_filters(): warnings.simplefilter('error')\n\
         def test_filters_are_back(): warnings.warn('no error')\n\
         def test_name(): assert os.environ['PYTEST_CURRENT_TEST'] == 'test_a.py::test_name (call)'\n\
         def test_moves_output(): os.dup2(os.open(os.devnull, os.O_WRONLY), 1); sys.stdout = sys.stderr\n\
         def test_output_is_back(): print('seen'); assert 0\n\
         def test_returns(): return 1\n\
         def test_skips(): pytest.skip('inside')\n\
         @pytest.mark.xfail\ndef test_expected(): assert 0\n\
         @pytest.mark.own\ndef test_marked(): pass\n\
         @pytest.mark.parametrize('x', [1, 2])\ndef test_each(x): assert x\n\
         @pytest.mark.usefixtures('tmp_path')\ndef test_used(): pass\n\
         def test_default(x=1): assert x == 1\n\
         def test_any(*args, **kwargs): assert not args and not kwargs\n\
         test_lambda = lambda: None\n\
         def test_no_test(): assert 0\ntest_no_test.__test__ = False\n\
         def test_attribute(): pass\ntest_attribute.owner = 'me'\n\
         class TestClass:\n    def test_x(self): print('unseen')\n    def test_y(self): print('seen'); assert not self\n\
         def test_module_of_others(): assert 'test_b' in sys.modules\n\
         def test_last(): assert 1 == 2\n",
    );
    project.write(
        "test_b.py",
        "from test_a import test_first, test_name as test_other\n\
         def test_own(): pass\n\
         def teardown_module(): assert 0, 'late'\n",
    );
    project.write("pytest.ini", "[pytest]\nmarkers = own\n");
    let run = agree(&project, &[], 34);
    assert!(!run.out.contains("unseen"), "{}", run.out);
    agree(&project, &["-k", "own or seen or other", "-v"], 7);
    project.write(
        "conftest.py",
        "def pytest_itemcollected(item): item.fixturenames.insert(0, 'tmp_path')\n",
    );
    agree(&project, &[], 34);
}

/// pytest hands parameters over as fixtures, which a test that has nothing else needn't have set up.
#[test]
fn tests_that_use_nothing_but_parameters() {
    let project = file(
        "import pytest\n\
         @pytest.fixture\ndef doubled(request): return request.param * 2\n\
         @pytest.fixture(params=[1, 2])\ndef either(request): return request.param\n\
         def test_first(): pass\n\
         @pytest.mark.parametrize('x', [1, 2, 3])\ndef test_one(x): assert x < 3\n\
         @pytest.mark.parametrize('x', [1, 2])\n@pytest.mark.parametrize('y', [[], {}])\ndef test_two(x, y):\n    assert not y\n    print(x)\n\
         @pytest.mark.parametrize('x', [1, 2], scope='module')\ndef test_wide(x): assert x == 1\n\
         @pytest.mark.parametrize('doubled', [1, 2], indirect=True)\ndef test_indirect(doubled): assert doubled == 2\n\
         @pytest.mark.parametrize('x, doubled', [(1, 2)], indirect=['doubled'])\ndef test_both(x, doubled): assert doubled == 4 * x\n\
         def test_either(either): assert either == 1\n\
         @pytest.mark.parametrize('x', [1])\ndef test_with_fixture(x, capsys): assert x == 2\n\
         @pytest.mark.parametrize('x', [1])\ndef test_request(x, request): assert request.node.funcargs['x'] == request.getfixturevalue('x')\n\
         @pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.skip), pytest.param(2, marks=pytest.mark.xfail), 3])\ndef test_marked(x): assert x == 3\n\
         @pytest.mark.parametrize('either', [5])\ndef test_override(either): assert either == 5\n\
         class TestClass:\n    @pytest.mark.parametrize('x', [1, 2])\n    def test_x(self, x): assert x == 1\n    def test_y(self, x=3): assert x == 3\n\
         @pytest.mark.parametrize('x', [1])\nclass TestAll:\n    def test_x(self, x): assert x == 2\n    def test_y(self, x): pass\n",
    );
    agree(&project, &[], 26);
    agree(&project, &["-l"], 26);
    project.write(
        "conftest.py",
        "import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_fixture_setup(fixturedef, request):\n    print('set up', fixturedef.argname)\n    return (yield)\n",
    );
    let run = agree(&project, &[], 26);
    assert!(!is_known() || run.out.contains("set up x"), "{}", run.out);
}

#[test]
fn skipping() {
    let project = file(
        "import pytest\n\
         @pytest.mark.skip(reason='why')\ndef test_skip(): pass\n\
         @pytest.mark.skipif('1 == 1', reason='text')\ndef test_skipif(): pass\n\
         @pytest.mark.skipif(False, reason='no')\ndef test_not_skipped(): pass\n\
         @pytest.mark.xfail(reason='known')\ndef test_xfail(): assert 0\n\
         @pytest.mark.xfail\ndef test_xpass(): pass\n\
         @pytest.mark.xfail(strict=True)\ndef test_strict(): pass\n\
         @pytest.mark.xfail(run=False)\ndef test_not_run(): raise SystemExit\n\
         @pytest.mark.xfail(raises=KeyError)\ndef test_other(): raise ValueError\n\
         @pytest.mark.skipif('no_such_name')\ndef test_wrong(): pass\n\
         def test_inside(): pytest.skip('inside')\n\
         def test_xfail_inside(): pytest.xfail('inside')\n\
         def test_added(request):\n    request.node.add_marker(pytest.mark.xfail(reason='added'))\n    assert 0\n\
         def test_added_and_passes(request): request.node.add_marker(pytest.mark.xfail(strict=True))\n\
         @pytest.fixture\ndef adds(request): request.applymarker(pytest.mark.xfail(run=False, reason='from a fixture'))\n\
         def test_added_by_a_fixture(adds): raise SystemExit\n\
         @pytest.fixture\ndef skips(): pytest.skip('fixture')\n\
         def test_fixture_skips(skips): pass\n\
         class TestMarked:\n    pytestmark = pytest.mark.xfail\n    def test_a(self): assert 0\n    def test_b(self): pass\n",
    );
    agree(&project, &[], 17);
    agree(&project, &["--runxfail"], 17);
}

#[test]
fn capture() {
    let project = file(
        "import os, pytest, subprocess, sys\n\
         @pytest.fixture\ndef talks():\n    print('before')\n    yield\n    print('after', file=sys.stderr)\n\
         def test_silent(): pass\n\
         def test_phases(talks):\n    print('during')\n    assert 0\n\
         def test_descriptor():\n    os.write(1, b'raw')\n    subprocess.run(['echo', 'child'])\n    assert 0\n\
         def test_replaces():\n    sys.stdout = open(os.devnull, 'w')\n    sys.stderr = None\n\
         def test_after_it():\n    print('still here')\n    assert 0\n\
         def test_duplicates():\n    null = os.open(os.devnull, os.O_WRONLY)\n    os.dup2(null, 1)\n\
         def test_after_that():\n    os.write(1, b'not lost')\n    assert 0\n\
         def test_capsys(capsys, talks):\n    print('a')\n    assert capsys.readouterr().out == 'before\\na\\n'\n    print('left')\n    assert 0\n\
         def test_capfd(capfd):\n    os.write(2, b'x')\n    assert capfd.readouterr().err == 'x'\n\
         def test_disabled(capsys):\n    with capsys.disabled(): print('loud')\n    print('q')\n    assert capsys.readouterr().out == 'q\\n'\n\
         def test_in(): sys.stdin.read()\n",
    );
    for way in [&[][..], &["--capture=sys"]] {
        // With sys.stdout replaced only Python's own writes are captured, and a duplicated descriptor stays.
        agree(&project, way, 11);
    }
    let run = project.test(&["--all", "-n", "1", "--", "--capture=tee-sys"]);
    assert_eq!(run.json["summary"]["lean"], 0);
}

#[test]
fn logging() {
    let project = file(
        "import logging, pytest\n\
         log = logging.getLogger('x.y')\n\
         @pytest.fixture\ndef logs():\n    log.warning('set up')\n    yield\n    log.error('torn down')\n\
         def test_quiet(): pass\n\
         def test_phases(logs):\n    log.warning('called %s', 1)\n    assert 0\n\
         def test_records(logs, caplog):\n    log.warning('mine')\n    assert [r.message for r in caplog.get_records('setup')] == ['set up']\n    assert caplog.messages == ['mine']\n\
         def test_level(caplog):\n    caplog.set_level(logging.DEBUG)\n    log.debug('fine')\n    assert caplog.text.endswith('fine\\n')\n\
         def test_level_is_back(caplog):\n    log.debug('unheard')\n    assert not caplog.records\n\
         def test_by_name(request):\n    log.warning('by name')\n    assert request.getfixturevalue('caplog').messages == ['by name']\n\
         def test_clears_handlers(): logging.getLogger().handlers.clear()\n\
         def test_hears_again(caplog):\n    log.warning('again')\n    assert caplog.messages == ['again']\n\
         def test_leaves_a_handler(): logging.getLogger().addHandler(logging.NullHandler())\n\
         def test_root_level(): logging.getLogger().setLevel(logging.ERROR)\n\
         def test_root_level_stays(caplog):\n    log.warning('unheard')\n    assert caplog.messages == []\n    logging.getLogger().setLevel(logging.WARNING)\n\
         def test_mutes(): logging.getLogger('x').propagate = False\n\
         def test_muted(caplog):\n    log.warning('muted')\n    assert caplog.messages in (['muted'], [])\n",
    );
    agree(&project, &[], 13);
    agree(&project, &["--", "--log-level=DEBUG"], 13);
    let without = file(
        "import logging, pytest\n\
         @pytest.fixture\ndef without(pytestconfig):\n    logging.root.handlers = []\n    plugin = pytestconfig.pluginmanager.unregister(name='logging-plugin')\n    yield\n    pytestconfig.pluginmanager.register(plugin, 'logging-plugin')\n\
         def test_without(without): assert not logging.root.handlers\n\
         def test_with(caplog):\n    logging.warning('x')\n    assert caplog.messages == ['x']\n",
    );
    agree(&without, &[], 2);
    let run = project.test(&["--all", "-n", "1", "--", "--log-cli-level=DEBUG"]);
    assert_eq!(run.code, 1);
}

#[test]
fn warnings() {
    let project = file(
        "import pytest, warnings\n\
         def warn(): warnings.warn('same place')\n\
         def test_one(): warn()\n\
         def test_two(): warn()\n\
         def test_deprecated(): warnings.warn('old', DeprecationWarning)\n\
         def test_ignores_for_ever(): warnings.simplefilter('ignore')\n\
         def test_three(): warn()\n\
         def test_resets(): warnings.resetwarnings()\n\
         def test_four(): warnings.warn('hidden', ImportWarning)\n\
         def test_shows(): warnings.showwarning = lambda *args: None\n\
         def test_five(): warn()\n\
         def test_recwarn(recwarn):\n    warn()\n    assert len(recwarn) == 1\n\
         def test_warns():\n    with pytest.warns(UserWarning): warn()\n\
         @pytest.fixture(scope='module')\ndef wide():\n    warnings.simplefilter('error')\n    warnings.simplefilter('ignore')\n    yield\n\
         def test_wide(wide): warn()\n\
         def test_after_wide(wide): warn()\n\
         @pytest.mark.filterwarnings('error')\ndef test_marked(): warn()\n\
         def test_bad():\n    warn()\n    assert 0\n",
    );
    agree(&project, &[], 14);
    let run = agree(&project, &["-W", "error"], 14);
    assert_eq!(run.outcome("test_one"), "failed");
    agree(&project, &["-p", "no:warnings"], 14);
}

/// What is imported before pytest is configured is spared collections, and found all the same by who looks for objects.
#[test]
fn objects_of_the_interpreter() {
    let mut project = file(
        "import gc, os, weakref\n\
         class Cycle:\n    def __init__(self): self.me = self\n\
         def test_garbage():\n    gone = weakref.ref(Cycle())\n    gc.collect()\n    assert gone() is None\n\
         def test_objects():\n    assert any(one is os.walk for one in gc.get_objects())\n\
         def test_referrers():\n    assert any(one is vars(os) for one in gc.get_referrers(os.walk))\n",
    );
    agree(&project, &[], 3);
    for daemon in ["1", "0"] {
        project.set("DX_PY_DAEMON", daemon);
        for test in ["test_objects", "test_referrers"] {
            assert_eq!(project.test(&["--all", "-k", test]).code, 0);
        }
    }
}

#[test]
fn errors_that_nobody_could_raise() {
    let project = file(
        "import gc, threading\n\
         class Bad:\n    def __del__(self): raise ValueError('deleted')\n\
         def test_deleted():\n    Bad()\n    gc.collect()\n\
         def test_thread():\n    thread = threading.Thread(target=lambda: 1 / 0)\n    thread.start()\n    thread.join()\n\
         def test_good(): pass\n",
    );
    agree(&project, &[], 3);
    let run = agree(&project, &["-W", "error"], 3);
    assert_eq!(run.outcome("test_deleted"), "failed");
    assert_eq!(run.outcome("test_thread"), "failed");
    agree(&project, &["-p", "no:unraisableexception"], 3);
}

#[test]
fn errors_that_nobody_could_raise_while_fixtures_come_and_go() {
    let project = file(
        "import gc, threading, pytest\n\
         class Bad:\n    def __del__(self): raise ValueError('deleted')\n\
         def in_a_thread():\n    thread = threading.Thread(target=lambda: 1 / 0)\n    thread.start()\n    thread.join()\n\
         @pytest.fixture\ndef comes():\n    Bad()\n    gc.collect()\n\
         @pytest.fixture\ndef goes():\n    yield\n    Bad()\n    gc.collect()\n\
         @pytest.fixture\ndef ends():\n    yield\n    in_a_thread()\n\
         def test_before(): pass\n\
         def test_comes(comes): pass\n\
         def test_goes(goes): pass\n\
         def test_ends(ends): pass\n\
         def test_all(comes, goes, ends, caplog): caplog.clear()\n\
         def test_after(): pass\n",
    );
    agree(&project, &[], 6);
    let run = agree(&project, &["-W", "error"], 6);
    // Of two errors of one teardown the second is the next test's; older versions of pytest gather them in another way.
    let bad = [
        "test_comes",
        "test_goes",
        "test_ends",
        "test_all",
        "test_after",
    ];
    for name in bad.iter().filter(|_| is_known()) {
        assert_eq!(run.outcome(name), "error", "{name}");
    }
    assert_eq!(run.outcome("test_before"), "passed");
    agree(
        &project,
        &[
            "-W",
            "error",
            "-p",
            "no:logging",
            "--deselect",
            "test_a.py::test_all",
        ],
        5,
    );
}

#[test]
fn assertions() {
    let project = Project::new(&[
        (
            "conftest.py",
            "def pytest_assertrepr_compare(op, left, right):\n    if left == 'special': return ['a special comparison']\n",
        ),
        (
            "test_a.py",
            "def test_own(): assert 'special' == 'x'\ndef test_dict(): assert {'a': 1} == {'a': 2}\n",
        ),
        (
            "inner/conftest.py",
            "def pytest_assertion_pass(item, lineno, orig, expl): item.user_properties.append(('passed', orig))\n",
        ),
        ("inner/test_b.py", "def test_b(): assert 1 == 1\n"),
        (
            "pytest.ini",
            "[pytest]\nenable_assertion_pass_hook = true\n",
        ),
    ]);
    let run = agree(&project, &[], 2);
    let reason = run.json["summary"]["full_protocol"].to_string();
    assert!(
        reason.contains("pytest_assertion_pass") || !is_known(),
        "{reason}"
    );
}

#[test]
fn temporary_folders_and_properties() {
    let project = Project::new(&[
        (
            "pytest.ini",
            "[pytest]\ntmp_path_retention_policy = failed\n",
        ),
        (
            "test_a.py",
            "import pathlib, sys\nSEEN = pathlib.Path(__file__).with_name('seen.txt')\n\
             def test_one(tmp_path, record_property):\n    SEEN.write_text(str(tmp_path))\n    record_property('a', 1)\n\
             def test_gone(request): assert not pathlib.Path(SEEN.read_text()).exists()\n\
             def test_by_name(request): assert request.getfixturevalue('tmp_path').is_dir()\n",
        ),
    ]);
    agree(&project, &[], 3);
}

#[test]
fn what_the_runner_leaves_for_others() {
    let project = file(
        "import os, pytest, sys\n\
         @pytest.fixture\ndef phases():\n    assert os.environ['PYTEST_CURRENT_TEST'].endswith('test_variable (setup)')\n    yield\n    assert os.environ['PYTEST_CURRENT_TEST'].endswith('test_variable (teardown)')\n\
         def test_variable(phases): assert os.environ['PYTEST_CURRENT_TEST'].endswith('test_variable (call)')\n\
         def test_fails(): raise KeyError('kept')\n\
         def test_not_kept_in_the_call(): assert not hasattr(sys, 'last_value')\n\
         @pytest.fixture\ndef sees():\n    assert isinstance(sys.last_value, KeyError)\n    assert sys.last_traceback.tb_frame.f_code.co_filename\n\
         def test_fails_again(): raise KeyError('kept')\n\
         def test_kept_in_the_set_up(sees): pass\n\
         def test_clears_the_environment(monkeypatch): monkeypatch.delenv('PYTEST_CURRENT_TEST')\n\
         @pytest.fixture(params=[1, 2], scope='module')\ndef p(request): return request.param\n\
         def test_p(p): assert p == 1\n\
         def test_q(p, request):\n    assert request.node.funcargs['p'] == p\n",
    );
    agree(&project, &[], 10);
}

#[test]
fn reports_while_a_test_runs() {
    let project = file(
        "import pytest\n\
         def report(request):\n    from _pytest.reports import TestReport\n    from _pytest.runner import CallInfo\n    call = CallInfo.from_call(lambda: pytest.fail('part'), 'call')\n    request.node.ihook.pytest_runtest_logreport(report=TestReport.from_item_and_call(request.node, call))\n\
         def test_part_fails(request):\n    print('out')\n    report(request)\n\
         def test_good(): pass\n",
    );
    agree(&project, &[], 2);
}

#[test]
fn an_exit_ends_the_session() {
    for text in ["raise KeyboardInterrupt", "pytest.exit('enough', 3)"] {
        let project = file(&format!(
            "import pytest\ndef test_a(): pass\ndef test_b(): {text}\ndef test_c(): pass\n"
        ));
        let with = |engine| project.test(&["--all", "-n", "1", "--engine", engine]);
        let (full, lean) = (with("pytest"), with("lean"));
        assert_eq!((lean.code, lean.outcomes()), (full.code, full.outcomes()));
        assert_eq!(
            lean.json["summary"]["stopped"],
            full.json["summary"]["stopped"]
        );
    }
}

#[test]
fn cases_of_unittest() {
    let project = file(
        "import logging, pytest, unittest, warnings\n\
         class TestA(unittest.TestCase):\n\
         \x20   def setUp(self):\n        print('set up', self.id())\n        self.addCleanup(print, 'cleaned')\n\
         \x20   def test_good(self): self.assertEqual(1, 1)\n\
         \x20   def test_bad(self):\n        logging.error('told')\n        self.assertEqual(1, 2)\n\
         \x20   def test_error(self): raise KeyError('x')\n\
         \x20   def test_skips(self): self.skipTest('so')\n\
         \x20   def test_raises_skip(self): raise unittest.SkipTest('so too')\n\
         \x20   @unittest.skip('never')\n    def test_skipped(self): assert 0\n\
         \x20   @unittest.expectedFailure\n    def test_expected(self): self.fail('known')\n\
         \x20   @unittest.expectedFailure\n    def test_unexpected(self): pass\n\
         \x20   @pytest.mark.xfail\n    def test_xfail(self): self.fail('marked')\n\
         \x20   @pytest.mark.skip\n    def test_marked(self): assert 0\n\
         \x20   def test_warns(self): warnings.warn('hear', UserWarning)\n\
         \x20   def test_parts(self):\n        for i in range(3):\n            with self.subTest(i=i): self.assertNotEqual(i, 1)\n\
         \x20   def test_cleans_up_badly(self): self.addCleanup(lambda: 1 / 0)\n\
         \x20   def test_exits(self): raise SystemExit(3)\n\
         \x20   def test_two_errors(self):\n        self.addCleanup(lambda: 1 / 0)\n        self.fail('first')\n\
         class TestB(unittest.TestCase):\n    def setUp(self): raise ValueError('set up')\n    def test_b(self): pass\n\
         class TestC(unittest.TestCase):\n    def tearDown(self): raise ValueError('torn')\n    def test_c(self): pass\n\
         class TestD(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls): raise ValueError('class')\n    def test_d(self): pass\n    def test_e(self): pass\n\
         class TestE(unittest.TestCase):\n    @classmethod\n    def tearDownClass(cls): raise ValueError('class')\n    def test_e(self): pass\n    def test_f(self): pass\n\
         @unittest.skip('all')\nclass TestF(unittest.TestCase):\n    def test_f(self): assert 0\n\
         class TestG(unittest.IsolatedAsyncioTestCase):\n    async def test_good(self): self.assertTrue(True)\n    async def test_bad(self): self.assertTrue(False)\n\
         class TestH(unittest.TestCase):\n\
         \x20   @pytest.fixture(autouse=True)\n    def value(self): self.value = 3\n\
         \x20   def test_value(self): self.assertEqual(self.value, 3)\n\
         \x20   def test_late(self):\n        class Bad:\n            def __del__(self): raise KeyError('late')\n        Bad()\n        self.fail('kept')\n\
         class TestI:\n    def test_method(self): pass\n",
    );
    agree(&project, &[], 27);
    agree(&project, &["-W", "error"], 27);
}

#[test]
fn faulthandler_watches() {
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\nfaulthandler_timeout = 0.3\n"),
        (
            "conftest.py",
            "import os, pytest\nfrom _pytest import faulthandler\n\
             @pytest.hookimpl(trylast=True)\ndef pytest_configure(config):\n\
             \x20   config.stash[faulthandler.fault_handler_stderr_fd_key] = os.open('dump', os.O_CREAT | os.O_WRONLY | os.O_TRUNC)\n",
        ),
        (
            "test_a.py",
            "import time\ndef dumps(): return open('dump').read().count('Timeout (')\n\
             def test_short(): pass\n\
             def test_long():\n    time.sleep(0.7)\n    assert dumps() == 1\n\
             def test_after(): assert dumps() == 1\n",
        ),
    ]);
    agree(&project, &[], 3);
}

#[test]
fn hooks_that_are_not_known_get_the_whole_protocol() {
    let project = Project::new(&[
        ("test_a.py", "def test_a(): pass\n"),
        (
            "one/conftest.py",
            "SEEN = []\ndef pytest_runtest_call(item): SEEN.append(item.name)\n",
        ),
        (
            "one/test_b.py",
            "from conftest import SEEN\ndef test_b(): assert SEEN == ['test_b']\n",
        ),
        (
            "two/conftest.py",
            "def pytest_pyfunc_call(pyfuncitem):\n    if pyfuncitem.name == 'test_c': return True\n",
        ),
        (
            "two/test_c.py",
            "def test_c(): assert 0\ndef test_d(): assert 1\n",
        ),
        (
            "test_doc.py",
            "def test_doc():\n    '''>>> 1\n    1\n    '''\n",
        ),
    ]);
    // Another way to call functions is asked on the lean path.
    let run = agree(&project, &["--", "--doctest-modules"], 4);
    let reasons = run.json["summary"]["full_protocol"].to_string();
    if !is_known() {
        return assert!(reasons.contains("the internals of pytest"), "{reasons}");
    }
    assert!(reasons.contains("pytest_runtest_call in"), "{reasons}");
    assert!(reasons.contains("DoctestItem"), "{reasons}");
    let (_, out, _) = project.dx(&[
        "test",
        "--all",
        "-v",
        "--python",
        &crate::support::python().display().to_string(),
    ]);
    assert!(
        out.contains("pytest's whole protocol for 1 of the tests: pytest_runtest_call in"),
        "{out}"
    );
    assert_eq!(project.dx(&["test", "--engine", "fast"]).0, 4);
}

/// Until somebody does, pytest's own function for fixtures is called without asking hooks.
#[test]
fn hooks_of_fixtures_that_come_while_tests_run_are_asked() {
    let project = file(
        "import pytest\nseen = []\n\
         class Late:\n    def pytest_fixture_setup(self, fixturedef): seen.append('set up ' + fixturedef.argname)\n    \
         def pytest_fixture_post_finalizer(self, fixturedef): seen.append('finished ' + fixturedef.argname)\n\
         @pytest.fixture\ndef one(): return 1\n\
         def test_before(one, pytestconfig): pytestconfig.pluginmanager.register(Late(), 'late')\n\
         def test_after(one): assert seen[-1] == 'set up one'\n\
         def test_later(one, pytestconfig):\n    assert 'finished one' in seen\n    \
         pytestconfig.pluginmanager.unregister(name='late')\n",
    );
    let run = project.test(&["--all", "-n", "1"]);
    let (code, outcomes) = project.pytest(&[]);
    assert_eq!((run.code, run.outcomes()), (code, outcomes), "{}", run.out);
    assert_eq!(run.code, 0, "{}", run.out);
}

#[test]
fn a_hook_around_the_protocol_holds_for_all_folders() {
    let project = Project::new(&[
        ("test_a.py", "def test_a(): pass\n"),
        (
            "one/conftest.py",
            "import pytest\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_protocol(item):\n    item.user_properties.append(('around', 1))\n    yield\n",
        ),
        ("one/test_b.py", "def test_b(): pass\n"),
    ]);
    let run = agree(&project, &[], 0);
    for test in run.json["tests"].as_array().into_iter().flatten() {
        assert_eq!(test["properties"][0]["name"], "around", "{test}");
    }
}

#[test]
fn plugins_that_run_some_of_the_tests() {
    let project = Project::with_plugins(&[
        ("pytest.ini", "[pytest]\nasyncio_mode = strict\n"),
        (
            "test_a.py",
            "import pytest\n\
             def test_plain(): pass\n\
             @pytest.mark.asyncio\nasync def test_async(): pass\n\
             @pytest.mark.anyio\nasync def test_anyio(anyio_backend_name): assert anyio_backend_name\n\
             @pytest.mark.timeout(60)\ndef test_timed(): pass\n\
             async def test_nobody_runs_it(): pass\n",
        ),
        (
            "test_hypothesis.py",
            "from hypothesis import given, settings, strategies as st\n\
             @given(st.integers())\ndef test_given(x): assert x == x\n\
             @settings(max_examples=3)\ndef test_misuse(): pass\n\
             def test_plain(): pass\n",
        ),
    ]);
    let args = &[
        "-p",
        "no:randomly",
        "-p",
        "no:html",
        "-p",
        "no:allure_pytest",
    ];
    let with = |engine| {
        let mut all = vec!["--all", "-n", "1", "--engine", engine];
        all.extend(args);
        project.test(&all)
    };
    let (full, lean) = (with("pytest"), with("lean"));
    assert_eq!(told(&lean), told(&full));
}

#[test]
fn plugins_that_have_a_say_in_some_of_the_tests() {
    let project = Project::with_plugins(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = -p inline_snapshot.pytest_plugin -p pytest_benchmark.plugin --benchmark-disable\n",
        ),
        (
            "test_a.py",
            "import pytest\nfrom inline_snapshot import snapshot\n\
             def test_plain(): pass\n\
             def test_snapshot(): assert 3 == snapshot(3)\n\
             def test_differs(): assert 3 == snapshot(4)\n\
             def test_benchmark(benchmark): assert benchmark(int) == 0\n\
             @pytest.mark.benchmark(group='x')\ndef test_marked(): pass\n\
             @pytest.mark.benchmark(0)\ndef test_misuse(): pass\n",
        ),
    ]);
    let run = |engine| project.test(&["--all", "-n", "1", "--engine", engine]);
    let (full, lean) = (run("pytest"), run("lean"));
    assert_eq!(told(&lean), told(&full));
    assert_eq!((lean.code, lean.outcomes()), project.pytest(&[]));
    assert_eq!(lean.json["summary"]["lean"], 3, "{}", lean.json["summary"]);
}

#[test]
fn items_that_are_made_after_one_another_are_what_pytest_makes() {
    let conftest = "import os\n\
        def told(value):\n    \
            own = isinstance(value, (list, set, dict))\n    \
            return type(value).__name__, sorted(map(str, value)) if own else getattr(value, 'name', value) if isinstance(value, (str, int)) else ''\n\
        def pytest_collection_modifyitems(items):\n    \
            seen = {}\n    \
            for item in items:\n        \
                item.user_properties.append(('own', item.name))\n        \
                item.extra_keyword_matches.add('extra_' + item.name)\n        \
                item.stash['key'] = item.name\n    \
            with open(os.environ['SEEN'], 'w') as file:\n        \
                for item in items:\n            \
                    assert (item.funcargs, item._request.node) == ({}, item)  # made when somebody looks at them\n            \
                    slots = {name for cls in type(item).__mro__ for name in vars(cls).get('__slots__', ()) if hasattr(item, name)}\n            \
                    names = sorted({*vars(item), *slots} - {'__dict__'})\n            \
                    values = [(name, told(getattr(item, name))) for name in names]\n            \
                    more = item.nodeid, item.location, sorted(item.keywords), item.user_properties, len(item.stash), item.function.__name__\n            \
                    print(values, more, [mark.name for mark in item.iter_markers()], file=file)\n";
    let tests = "import pytest\npytestmark = pytest.mark.wide\n\
        def test_a(): pass\ndef test_b(): pass\n\
        @pytest.mark.own\ndef test_c(): pass\n\
        def test_d(): pass\ndef test_e(tmp_path): pass\n\
        def test_f():\n    \"\"\"Text.\"\"\"\n    assert 0\n\
        test_g = test_d\n\
        class TestIt:\n    def test_a(self): pass\n    def test_b(self): pass\n";
    let mut project = Project::new(&[
        ("conftest.py", conftest),
        ("pytest.ini", "[pytest]\nmarkers = wide\n own\n"),
        ("sub/test_one.py", tests),
        ("sub/test_two.py", tests),
    ]);
    let mut seen = Vec::new();
    for is_pytest in [true, false] {
        let place = format!("{}.seen", project.path().display());
        project.set("SEEN", &place);
        if is_pytest {
            assert_eq!(project.pytest(&[]).0, 1);
        } else {
            let run = project.test(&["-n", "1"]);
            assert_eq!((run.code, run.ran()), (1, 18), "{}", run.out);
        }
        seen.push(std::fs::read_to_string(&place).unwrap());
        std::fs::remove_file(&place).unwrap();
    }
    assert_eq!(seen[0].lines().count(), 18);
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn what_is_made_when_somebody_asks_is_there_for_whoever_does() {
    let conftest = "import pytest\n\
             SEEN = []\n\
             def pytest_itemcollected(item):\n\
             \x20   if item.name == 'test_two': SEEN.append((item.funcargs, item._request.node is item, hasattr(item, '_request')))\n\
             def pytest_collection_modifyitems(items):\n\
             \x20   by_name = {item.name: item for item in items}\n\
             \x20   three = by_name['test_three']\n\
             \x20   three.funcargs['kept'] = 3\n\
             \x20   SEEN.append((three._request.fixturename, three.funcargs))\n\
             \x20   four = by_name['test_four']\n\
             \x20   four.funcargs = {'given': 4}\n\
             \x20   SEEN.append((four._request.node.name, four.funcargs))\n\
             \x20   SEEN.append(hasattr(pytest.Function, 'funcargs'))\n";
    let test = "import conftest\n\
         def test_one(): assert 0\n\
         def test_two(): pass\n\
         def test_three(): pass\n\
         def test_four(): print('x')\n\
         def test_five(): assert conftest.SEEN == [\n\
         \x20   ({}, True, True), (None, {'kept': 3}), ('test_four', {'given': 4}), False], conftest.SEEN\n";
    let project = Project::new(&[("conftest.py", conftest), ("test_a.py", test)]);
    agree(&project, &[], 5);
    let hook = "@pytest.hookimpl(hookwrapper=True)\n\
         def pytest_runtest_makereport(item, call):\n\
         \x20   yield\n\
         \x20   if call.when == 'call': print(item.name, item.funcargs, item._request.scope)\n";
    project.write("conftest.py", &format!("{conftest}{hook}"));
    agree(&project, &[], 0);
}
