//! Random small projects for the fuzzer: files made of independent pieces, so that a project can be edited and shrunk piece by piece.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::project::Random;

/// A project: the pieces of each file. The first piece of a file is its head, which stays as long as the file does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Pieces by path.
    pub files: BTreeMap<String, Vec<String>>,
}

const SCOPES: [&str; 5] = ["function", "class", "module", "package", "session"];
const FOLDERS: [&str; 3] = ["tests", "tests/one", "tests/two"];

/// Templates of tests; `@` is a number that makes names unique, `#` a small number that an edit may change.
const TESTS: [&str; 30] = [
    "def test_plain_@(): assert lib.value() >= #\n",
    "def test_equal_@(): assert lib.other() == #\n",
    "def test_print_@(capsys):\n    print('out #')\n    assert capsys.readouterr().out == 'out #\\n'\n",
    "def test_prints_and_fails_@():\n    print('shown #')\n    assert # == 9\n",
    "def test_path_@(tmp_path):\n    (tmp_path / 'x').write_text('#')\n    assert (tmp_path / 'x').read_text() == '#'\n",
    "def test_patch_@(monkeypatch):\n    monkeypatch.setattr(lib, 'value', lambda: 40)\n    assert lib.value() == 40\n",
    "def test_environment_@(monkeypatch):\n    monkeypatch.setenv('SAMPLE', '#')\n    assert os.environ['SAMPLE'] == '#'\n",
    "@pytest.mark.parametrize('x', [1, 2, #])\ndef test_many_@(x): assert x != 2\n",
    "@pytest.mark.parametrize('x', ['a', 'é', 'a b', 'x::y', 'n\\nl', ''])\n@pytest.mark.parametrize('y', [None, 1.5])\ndef test_ids_@(x, y): assert y is None or x\n",
    "@pytest.mark.parametrize('base', [1, 2], indirect=True)\ndef test_indirect_@(base): assert base\n",
    "@pytest.mark.skip(reason='not now #')\ndef test_skipped_@(): assert 0\n",
    "@pytest.mark.skipif(lib.value() > #, reason='too big')\ndef test_skipped_if_@(): assert 0\n",
    "def test_skips_itself_@(): pytest.skip('inside')\n",
    "def test_importorskip_@(): pytest.importorskip('no_such_module_@')\n",
    "@pytest.mark.xfail(reason='known')\ndef test_xfail_@(): assert lib.value() == #\n",
    "@pytest.mark.xfail(strict=True)\ndef test_strict_@(): assert lib.value() > #\n",
    "@pytest.mark.xfail(raises=ValueError)\ndef test_raises_@(): raise (ValueError if lib.value() > # else KeyError)('x')\n",
    "def test_xfails_itself_@():\n    if lib.value() > #:\n        pytest.xfail('inside')\n",
    "def test_base_@(base): assert base\n",
    "def test_wide_@(wide, base): assert wide is not None\n",
    "def test_late_@(late): pass\n",
    "def test_broken_@(broken): pass\n",
    "def test_dynamic_@(request): assert request.getfixturevalue('base') is not None\n",
    "class TestBase_@:\n    level = #\n    @pytest.fixture\n    def own(self): return self.level\n    def test_own(self, own): assert own == self.level\n    def test_level(self): assert self.level < 3\nclass TestDerived_@(TestBase_@):\n    level = 2\n    def test_more(self, own, base): assert own == 2\n",
    "class TestSetup_@:\n    @classmethod\n    def setup_class(cls): cls.seen = []\n    def setup_method(self): self.seen.append(#)\n    def teardown_method(self): assert len(self.seen) < 3\n    def test_1(self): assert self.seen == [#]\n    def test_2(self): assert len(self.seen) == 2\n    def test_3(self): pass\n",
    "class Unit_@(unittest.TestCase):\n    def setUp(self): self.x = #\n    def test_x(self): self.assertLess(self.x, 3)\n    @unittest.expectedFailure\n    def test_expected(self): self.assertEqual(self.x, -1)\n    @unittest.skip('no')\n    def test_skip(self): pass\n    def test_sub(self):\n        for i in range(3):\n            with self.subTest(i=i):\n                self.assertNotEqual(i, 5)\n",
    "def test_warns_@():\n    warnings.warn('careful #')\n    assert lib.value() is not None\n",
    "def test_file_@():\n    with open(os.path.join(os.path.dirname(__file__), 'data.txt')) as f:\n        assert f.read().strip() == '#'\n",
    "def pytest_generate_tests(metafunc):\n    if 'generated' in metafunc.fixturenames:\n        metafunc.parametrize('generated', range(# + 1))\ndef test_generated_@(generated): assert generated < 2\n",
    "async def test_async_@(): pass\n",
];

/// Templates for conftests; `*` is a scope.
const FIXTURES: [&str; 12] = [
    "@pytest.fixture(scope='*')\ndef base(request): return getattr(request, 'param', #)\n",
    "@pytest.fixture(scope='*', params=[0, #], ids=['p0', 'p1'])\ndef wide(request): return request.param\n",
    "@pytest.fixture(scope='*')\ndef wide():\n    yield #\n    assert # != 3\n",
    "@pytest.fixture\ndef late():\n    yield\n    raise RuntimeError('late #')\n",
    "@pytest.fixture\ndef base(base): return base + #\n",
    "@pytest.fixture(autouse=True, scope='*')\ndef automatic(request):\n    LOG.append('*')\n    yield\n    LOG.append('#')\n",
    "@pytest.fixture(scope='*')\ndef broken(): raise RuntimeError('broken #')\n",
    "def pytest_collection_modifyitems(items):\n    for item in items:\n        if item.name.endswith('#'):\n            item.add_marker(pytest.mark.xfail(reason='by hook'))\n",
    "def pytest_runtest_setup(item):\n    if item.name.startswith('test_equal') and # == 2:\n        pytest.skip('by hook')\n",
    "collect_ignore = ['test_ignored_#.py']\n",
    "@pytest.fixture\ndef late(request):\n    request.addfinalizer(lambda: None)\n    return #\n",
    "@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n    outcome = yield\n    outcome.get_result().user_properties.append(('n', '#'))\n",
];

const BASE: &str = "import pytest\nLOG = []\n@pytest.fixture\ndef base(request): return getattr(request, 'param', 1)\n\
    @pytest.fixture\ndef wide(): return 1\n@pytest.fixture\ndef late(): yield\n@pytest.fixture\ndef broken(): raise ValueError('x')\n";

fn filled(random: &mut Random, template: &str) -> String {
    let unique = random.next() % 100_000;
    let small = random.below(4).to_string();
    let scope = SCOPES[random.below(SCOPES.len())];
    template
        .replace('@', &unique.to_string())
        .replace(
            "pytest.fixture(scope='*')",
            &format!("pytest.fixture(scope='{scope}')"),
        )
        .replace("scope='*'", &format!("scope='{scope}'"))
        .replace('*', scope)
        .replace('#', &small)
}

/// A piece from one of the templates. Decorators start with `@` too: only one after an underscore stands for a number.
fn piece(random: &mut Random, templates: &[&str]) -> String {
    let template = templates[random.below(templates.len())];
    let marked: String = template
        .replace("_@", "_\u{1}")
        .replace('@', "\u{2}")
        .replace('\u{1}', "@");
    filled(random, &marked).replace('\u{2}', "@")
}

fn library(random: &mut Random, number: usize) -> Vec<String> {
    let head = match number {
        0 => String::new(),
        _ => format!("import lib{}\n", number - 1),
    };
    let value = if number > 0 && random.below(2) == 0 {
        format!(
            "def value(): return lib{}.value() + {}\n",
            number - 1,
            random.below(3)
        )
    } else {
        format!("def value(): return {}\n", random.below(4))
    };
    let other = format!("def other(): return {}\n", random.below(4));
    vec![
        format!("\"\"\"Number {number}.\"\"\"\n{head}"),
        value,
        other,
    ]
}

/// A new project.
pub fn generate(random: &mut Random) -> Sample {
    let mut sample = Sample::default();
    let mut ini = "[pytest]\npythonpath = src\n".to_owned();
    if random.below(3) == 0 {
        ini.push_str("xfail_strict = true\n");
    }
    if random.below(4) == 0 {
        ini.push_str("addopts = --doctest-modules\n");
    }
    if random.below(4) == 0 {
        ini.push_str("filterwarnings = error::UserWarning\n");
    }
    sample.files.insert("pytest.ini".into(), vec![ini]);
    for number in 0..3 {
        sample
            .files
            .insert(format!("src/lib{number}.py"), library(random, number));
    }
    for (number, folder) in FOLDERS.iter().enumerate() {
        if number == 0 || random.below(2) == 0 {
            let head = if number == 0 {
                BASE
            } else {
                "import pytest\nLOG = []\n"
            };
            let count = random.below(4);
            let mut pieces = vec![head.to_owned()];
            pieces.extend((0..count).map(|_| piece(random, &FIXTURES)));
            sample.files.insert(format!("{folder}/conftest.py"), pieces);
        }
        sample.files.insert(
            format!("{folder}/data.txt"),
            vec![random.below(4).to_string()],
        );
    }
    for number in 0..2 + random.below(4) {
        let folder = FOLDERS[random.below(FOLDERS.len())];
        let mut head = format!(
            "import os, unittest, warnings\nimport pytest\nimport lib{} as lib\n",
            random.below(3)
        );
        match random.below(12) {
            0 => head.push_str("pytestmark = pytest.mark.xfail(reason='module')\n"),
            1 => head.push_str("pytestmark = [pytest.mark.usefixtures('base')]\n"),
            2 => head.push_str("pytest.importorskip('no_such_module')\n"),
            3 => head.push_str("import no_such_module_at_all\n"),
            4 => head.push_str("pytest.skip('the whole module', allow_module_level=True)\n"),
            _ => {}
        }
        let mut pieces = vec![head];
        for _ in 0..1 + random.below(5) {
            pieces.push(piece(random, &TESTS));
        }
        if random.below(4) == 0 {
            let fixture = piece(random, &FIXTURES[..2]);
            pieces.insert(1, fixture);
        }
        sample.files.insert(
            format!("{folder}/test_{number}_{}.py", random.below(100)),
            pieces,
        );
    }
    sample
}

/// Edits a project in one place: a piece is added, removed or changed, or a file goes.
pub fn edit(random: &mut Random, sample: &mut Sample) -> String {
    let paths: Vec<String> = sample
        .files
        .keys()
        .filter(|path| *path != "pytest.ini")
        .cloned()
        .collect();
    let path = paths[random.below(paths.len())].clone();
    if path.ends_with(".txt") {
        sample
            .files
            .insert(path.clone(), vec![random.below(4).to_string()]);
        return format!("other content of {path}");
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_test = name.starts_with("test_");
    if is_test && paths.len() > 6 && random.below(10) == 0 {
        sample.files.remove(&path);
        return format!("{path} removed");
    }
    let at = 1 + random.below(sample.files[&path].len());
    let Some(pieces) = sample.files.get_mut(&path) else {
        return String::new();
    };
    if at < pieces.len() && random.below(2) == 0 {
        let digits: Vec<usize> = pieces[at]
            .char_indices()
            .filter(|(_, c)| ('0'..='3').contains(c))
            .map(|(i, _)| i)
            .collect();
        if let Some(place) = random.pick(&digits).copied() {
            let new = random.below(4).to_string();
            pieces[at].replace_range(place..=place, &new);
            return format!("a number in {path}, piece {at}, is {new}");
        }
    }
    if is_test {
        pieces.push(piece(random, &TESTS));
    } else if name == "conftest.py" {
        pieces.push(piece(random, &FIXTURES));
    } else {
        pieces[0].push_str("# a comment\n");
    }
    format!("a piece more in {path}")
}

/// Writes the project over what is in the folder, and removes files that are no more in it.
///
/// # Errors
/// If it can't be written.
pub fn write(sample: &Sample, before: Option<&Sample>, dir: &Path) -> Result<()> {
    for path in before.iter().flat_map(|before| before.files.keys()) {
        if !sample.files.contains_key(path) {
            fs::remove_file(dir.join(path))?;
        }
    }
    for (path, pieces) in &sample.files {
        let target = dir.join(path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = pieces.concat();
        if fs::read_to_string(&target).ok().as_deref() != Some(&text) {
            fs::write(target, text)?;
        }
    }
    Ok(())
}
