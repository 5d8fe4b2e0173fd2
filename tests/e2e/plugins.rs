//! Suites that use pytest's plugins, in their published versions: the same outcomes as pytest's, with several workers and with one.

mod subtests;
mod warnings;

use crate::support::Project;

/// Compares with pytest; gives the output of the run with two workers.
fn same_as_pytest(project: &Project) -> String {
    let (code, expected) = project.pytest(&[]);
    assert!(!expected.is_empty(), "pytest found no test: {code}");
    let mut out = String::new();
    for workers in ["1", "2"] {
        let _ = std::fs::remove_dir_all(project.path().join(".dx"));
        let run = project.test(&["-n", workers]);
        assert_eq!(
            run.outcomes(),
            expected,
            "-n {workers}\n{}\n{}",
            run.out,
            run.err
        );
        assert_eq!(run.code, code, "-n {workers}\n{}\n{}", run.out, run.err);
        assert!(
            !run.out.contains("on second opinion"),
            "-n {workers}\n{}",
            run.out
        );
        out = run.out + &run.err;
    }
    out
}

fn ini(plugin: &str, more: &str) -> String {
    format!("[pytest]\naddopts = -p {plugin}\n{more}")
}

const OTHER: (&str, &str) = ("test_other.py", "def test_other(): pass\n");

#[test]
fn pytest_asyncio_in_strict_and_auto_mode() {
    let text = "import asyncio, pytest, pytest_asyncio\n\
        @pytest_asyncio.fixture(loop_scope='module', scope='module')\nasync def loop():\n    yield asyncio.get_running_loop()\n\
        @pytest.mark.asyncio(loop_scope='module')\nasync def test_marked(loop):\n    assert loop is asyncio.get_running_loop()\n\
        @pytest.mark.asyncio\nasync def test_fails(): assert await asyncio.sleep(0, 1) == 2\n";
    for mode in ["strict", "auto"] {
        let bare = if mode == "auto" {
            "async def test_bare(): pass\n"
        } else {
            ""
        };
        same_as_pytest(&Project::with_plugins(&[
            (
                "pytest.ini",
                &ini("pytest_asyncio", &format!("asyncio_mode = {mode}\n")),
            ),
            ("test_a.py", &format!("{text}{bare}")),
            OTHER,
        ]));
    }
}

#[test]
fn anyio() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("anyio", "")),
        (
            "test_a.py",
            "import anyio, pytest\npytestmark = pytest.mark.anyio\n\
             @pytest.fixture(params=['asyncio', ('asyncio', {'debug': True})], ids=['plain', 'debug'])\ndef anyio_backend(request): return request.param\n\
             @pytest.fixture\nasync def value():\n    await anyio.sleep(0)\n    yield 3\n\
             async def test_value(value): assert value == 3\nasync def test_fails(value): assert value == 4\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_mock() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_mock", "")),
        (
            "test_a.py",
            "import os\ndef test_patch(mocker):\n    mocker.patch('os.getcwd', return_value='x')\n    assert os.getcwd() == 'x'\n\
             def test_undone(): assert os.getcwd() != 'x'\n\
             def test_called(mocker):\n    stub = mocker.stub()\n    stub(1)\n    stub.assert_called_once_with(2)\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_testmon_is_off() {
    let project = Project::with_plugins(&[
        ("pytest.ini", &ini("testmon.pytest_testmon --testmon", "")),
        (
            "test_a.py",
            "def test_passes(): pass\ndef test_fails(): assert False\n",
        ),
        OTHER,
    ]);
    same_as_pytest(&project);
    let run = project.test(&[]);
    assert_eq!(run.ran(), 1, "only the failed one\n{}", run.out);
}

#[test]
fn pytest_django() {
    same_as_pytest(&Project::with_plugins(&[
        (
            "pytest.ini",
            &ini(
                "pytest_django.plugin",
                "DJANGO_SETTINGS_MODULE = site_settings\npythonpath = .\n",
            ),
        ),
        (
            "site_settings.py",
            "SECRET_KEY = 'x'\nUSE_TZ = True\nINSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth']\n\
             DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3', 'TEST': {'NAME': 'test.sqlite3'}}}\n",
        ),
        (
            "test_a.py",
            "import pytest\nfrom django.contrib.auth.models import User\nfrom django.test import TestCase\n\
             @pytest.mark.django_db\ndef test_create():\n    User.objects.create(username='a')\n    assert User.objects.count() == 1\n\
             def test_no_access(): User.objects.count()\n\
             class Users(TestCase):\n    @classmethod\n    def setUpTestData(cls): cls.user = User.objects.create(username='b')\n\
             \x20   def test_is_there(self): self.assertEqual(User.objects.get().username, 'b')\n\
             \x20   def test_can_go(self):\n        self.user.delete()\n        self.assertEqual(User.objects.count(), 0)\n",
        ),
        (
            "test_b.py",
            "import pytest\nfrom django.contrib.auth.models import User\n@pytest.mark.django_db(transaction=True)\n\
             def test_empty(settings):\n    settings.DEBUG = True\n    assert User.objects.count() == 0\n",
        ),
    ]));
}

#[test]
fn pytest_timeout() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_timeout", "timeout = 5\n")),
        (
            "test_a.py",
            "import pytest, time\n@pytest.mark.timeout(0.2)\ndef test_slow(): time.sleep(3)\ndef test_fast(): pass\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_xdist_its_options_and_fixtures() {
    let out = same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("xdist -n 2 --dist loadfile", "")),
        (
            "test_a.py",
            "import os, pytest\ndef test_id(worker_id, testrun_uid): assert worker_id and testrun_uid\n\
             @pytest.mark.xdist_group('one')\ndef test_group(): pass\n",
        ),
        OTHER,
    ]));
    assert!(!out.contains("INTERNALERROR"), "{out}");
}

#[test]
fn pytest_rerunfailures() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_rerunfailures", "")),
        (
            "test_a.py",
            "import pytest\ntries = []\n@pytest.mark.flaky(reruns=2)\ndef test_third_time():\n    tries.append(1)\n    assert len(tries) == 3\n\
             @pytest.mark.flaky(reruns=1)\ndef test_never(): assert 0\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_randomly() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_randomly --randomly-seed=7", "")),
        (
            "test_a.py",
            "import random\ndef test_a(): assert random.random() < 1\ndef test_b(): pass\ndef test_c(): assert 0\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_bdd() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_bdd", "")),
        (
            "shop.feature",
            "Feature: shop\n  Scenario: buy\n    Given a basket\n    When I add 2 apples\n    Then there are 2 apples\n\
             \x20 Scenario: lose\n    Given a basket\n    When I add 1 apples\n    Then there are 2 apples\n",
        ),
        (
            "test_a.py",
            "from pytest_bdd import given, when, then, parsers, scenarios\nscenarios('shop.feature')\n\
             @given('a basket', target_fixture='basket')\ndef basket(): return []\n\
             @when(parsers.parse('I add {n:d} apples'))\ndef add(basket, n): basket.extend('a' * n)\n\
             @then(parsers.parse('there are {n:d} apples'))\ndef there(basket, n): assert len(basket) == n\n",
        ),
        OTHER,
    ]));
}

#[test]
fn syrupy() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("syrupy", "")),
        (
            "__snapshots__/test_a.ambr",
            "# serializer version: 1\n# name: test_same\n  'one'\n# ---\n# name: test_other\n  'one'\n# ---\n",
        ),
        (
            "test_a.py",
            "def test_same(snapshot): assert 'one' == snapshot\ndef test_other(snapshot): assert 'two' == snapshot\n",
        ),
        OTHER,
    ]));
}

#[test]
fn inline_snapshot() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("inline_snapshot", "")),
        (
            "test_a.py",
            "from inline_snapshot import snapshot\ndef test_same(): assert 1 == snapshot(1)\ndef test_other(): assert 1 == snapshot(2)\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_benchmark() {
    same_as_pytest(&Project::with_plugins(&[
        (
            "pytest.ini",
            &ini("pytest_benchmark.plugin --benchmark-disable", ""),
        ),
        (
            "test_a.py",
            "def test_sum(benchmark): assert benchmark(sum, [1, 2]) == 3\n",
        ),
        OTHER,
    ]));
}

#[test]
fn hypothesis() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("_hypothesis_pytestplugin", "")),
        (
            "test_a.py",
            "from hypothesis import given, settings, strategies as st\nsettings.register_profile('fixed', derandomize=True, database=None)\n\
             settings.load_profile('fixed')\n@given(st.integers())\ndef test_good(x): assert x == x\n@given(st.integers())\ndef test_bad(x): assert x < 100\n",
        ),
        OTHER,
    ]));
}

/// Hypothesis reads all modules that aren't installed for constants that it may draw, once for all tests: that is chance, and no input.
#[test]
fn what_hypothesis_gathers_to_draw_from_is_no_input() {
    let project = Project::with_plugins(&[
        ("pytest.ini", &ini("_hypothesis_pytestplugin", "")),
        ("one.py", "def same(x): return x\n"),
        ("two.py", "def five(): return 5\n"),
        (
            "test_a.py",
            "import one\nfrom hypothesis import given, strategies as st\n@given(st.integers())\ndef test_any(x): assert one.same(x) == x\n",
        ),
        (
            "test_b.py",
            "import two\ndef test_five(): assert two.five() == 5\n",
        ),
    ]);
    assert_eq!(project.test(&["-n", "1"]).code, 0);
    assert_eq!(project.test(&["-n", "1"]).ran(), 0);
    for (file, from, to, ran) in [
        ("two.py", "return 5", "return 2 + 3", "test_b.py::test_five"),
        ("one.py", "return x", "return 0 + x", "test_a.py::test_any"),
    ] {
        project.write(file, &project.read(file).replace(from, to));
        let run = project.test(&["-n", "1"]);
        assert_eq!(run.ran_tests().collect::<Vec<_>>(), [ran], "{}", run.out);
    }
}

#[test]
fn pytest_order() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_order", "")),
        (
            "test_a.py",
            "import pytest\nseen = []\n@pytest.mark.order(2)\ndef test_later(): assert seen == [1]\n\
             @pytest.mark.order(1)\ndef test_sooner(): seen.append(1)\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_order_over_files_runs_in_one_worker() {
    let ordered = |number: u8, seen: &str| {
        format!(
            "import pytest\n@pytest.mark.order({number})\ndef test_it():\n    with open('order', 'a+') as f:\n        \
             f.seek(0)\n        assert f.read() == '{seen}'\n        f.write('{number}')\n"
        )
    };
    let project = Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_order", "")),
        (
            "test_a.py",
            &format!("{}\ndef test_last(): pass\n", ordered(2, "1")),
        ),
        ("test_b.py", &ordered(1, "")),
    ]);
    let run = project.test(&["-n", "2", "--no-second-opinion"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("note: one worker: "), "{}", run.out);
}

#[test]
fn pytest_html() {
    let project = Project::with_plugins(&[
        (
            "pytest.ini",
            &ini(
                "pytest_metadata.plugin -p pytest_html.plugin --html=out/report.html --self-contained-html",
                "",
            ),
        ),
        (
            "test_a.py",
            "def test_a(): pass\ndef test_bad(): assert 0\n",
        ),
        OTHER,
    ]);
    for workers in ["1", "2"] {
        let _ = std::fs::remove_dir_all(project.path().join("out"));
        let run = project.test(&["-n", workers, "--all"]);
        assert_eq!(run.code, 1, "{}{}", run.out, run.err);
        let page = std::fs::read_to_string(project.path().join("out/report.html"));
        let page = page.expect("the plugin has written it");
        for test in [
            "test_a.py::test_a",
            "test_a.py::test_bad",
            "test_other.py::test_other",
        ] {
            assert!(page.contains(test), "{test} is missing with -n {workers}");
        }
        assert!(run.out.contains("Generated html report"), "{}", run.out);
    }
}

#[test]
fn allure() {
    let project = Project::with_plugins(&[
        ("pytest.ini", &ini("allure_pytest --alluredir=out", "")),
        (
            "test_a.py",
            "def test_a(): pass\ndef test_bad(): assert 0\n",
        ),
        OTHER,
    ]);
    for workers in ["1", "2"] {
        let _ = std::fs::remove_dir_all(project.path().join("out"));
        let run = project.test(&["-n", workers, "--all"]);
        assert_eq!(run.code, 1, "{}{}", run.out, run.err);
        let results = std::fs::read_dir(project.path().join("out"))
            .expect("the plugin has made it")
            .flatten()
            .filter(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .ends_with("-result.json")
            });
        assert_eq!(results.count(), 3, "with -n {workers}");
    }
}

#[test]
fn pytest_env() {
    same_as_pytest(&Project::with_plugins(&[
        (
            "pytest.ini",
            &ini("pytest_env.plugin", "env =\n    FROM_INI=1\n"),
        ),
        (
            "test_a.py",
            "import os\ndef test_ini(): assert os.environ['FROM_INI'] == '1'\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_dotenv() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_dotenv.plugin", "")),
        (".env", "FROM_FILE=2\n"),
        (
            "test_a.py",
            "import os\ndef test_file(): assert os.environ['FROM_FILE'] == '2'\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_socket() {
    same_as_pytest(&Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_socket --disable-socket", "")),
        (
            "test_a.py",
            "import socket\ndef test_blocked(): socket.socket()\ndef test_allowed(socket_enabled): socket.socket().close()\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_cov_gives_the_same_totals_and_is_off_for_a_part() {
    let project = Project::with_plugins(&[
        ("pytest.ini", &ini("pytest_cov", "")),
        (
            "lib.py",
            "def one():\n    return 1\ndef two():\n    return 2\ndef never():\n    return 3\n",
        ),
        (
            "test_a.py",
            "import lib\ndef test_one(): assert lib.one() == 1\n",
        ),
        (
            "test_b.py",
            "import lib\ndef test_two(): assert lib.two() == 2\n",
        ),
        ("test_c.py", "def test_c(): pass\n"),
    ]);
    let total = |out: &str| {
        out.lines()
            .find(|line| line.starts_with("lib.py"))
            .map(str::to_owned)
    };
    for workers in ["1", "2"] {
        let run = project.test(&["-n", workers, "--", "--cov=lib", "--cov-report=term"]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let line = total(&run.out).unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["lib.py", "6", "1", "83%"], "{}", run.out);
    }
    for workers in ["1", "2"] {
        // Everything below the folder is measured, and nothing of dx-py's.
        let measured = ["--cov", "--cov-context=test", "--cov-report=term"];
        let run = project.test(&[&["--all", "-n", workers, "--"], &measured[..]].concat());
        let files = |out: &str| -> Vec<String> {
            let lines = out.lines().filter(|line| line.contains(".py "));
            lines.map(str::to_owned).collect()
        };
        let mut pytest = project.start(&crate::support::python_with_plugins());
        pytest.args(["-m", "pytest", "-q"]).args(measured);
        let pytest = String::from_utf8(pytest.output().unwrap().stdout).unwrap();
        assert!(!files(&pytest).is_empty(), "{pytest}");
        assert_eq!(files(&run.out), files(&pytest), "{}{}", run.out, run.err);
    }
    let run = project.test(&["-n", "2", "--", "--cov=lib", "--cov-fail-under=90"]);
    assert_eq!((run.code, run.ran()), (1, 3), "{}{}", run.out, run.err);
    project.write(
        "pytest.ini",
        &ini("pytest_cov --cov=lib --cov-report=term", ""),
    );
    assert!(total(&project.test(&[]).out).is_some());
    project.write("test_c.py", "def test_c(): assert True\n");
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 1), "{}{}", run.out, run.err);
    assert!(
        total(&run.out).is_none() && run.out.contains("coverage is off"),
        "{}",
        run.out
    );
    assert!(total(&project.test(&["--all"]).out).is_some());
}
