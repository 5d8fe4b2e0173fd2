//! Makes projects from templates, and edits them.

use std::sync::LazyLock;

use super::sample::{Piece, Sample};
use crate::project::Random;

/// A template: its name and its text.
pub type Template = (&'static str, &'static str);

macro_rules! templates {
    ($($name:ident: $file:literal;)*) => {
        $(static $name: LazyLock<Vec<Template>> = LazyLock::new(|| parse(include_str!(concat!("templates/", $file))));)*
        /// All templates.
        pub fn templates() -> impl Iterator<Item = Template> {
            [$(&*$name),*].into_iter().flatten().copied()
        }
    };
}

templates! {
    TESTS: "tests.py";
    CLASSES: "classes.py";
    INPUTS: "inputs.py";
    FIXTURES: "fixtures.py";
    HOOKS: "hooks.py";
    HEADS: "heads.py";
    SETTINGS: "settings.ini";
}

/// Each template follows a line that begins with `#% ` and tells its name.
fn parse(text: &'static str) -> Vec<Template> {
    let parts = text.split("\n#% ").skip(1);
    parts
        .map(|part| part.split_once('\n').unwrap_or((part, "")))
        .collect()
}

const SCOPES: [&str; 5] = ["function", "class", "module", "package", "session"];
const FOLDERS: [&str; 3] = ["tests", "tests/one", "tests/two"];
const VARIABLES: [&str; 2] = ["SAMPLE_A", "SAMPLE_B"];

const INI: &str = "[pytest]\npythonpath = src\nmarkers =\n    slow: is slow\naddopts =\n    -ra\n";
const CONFTEST: &str = "import logging, os, pathlib, warnings\nimport pytest\nLOG = []\n";
const FIRST_CONFTEST: &str = "@pytest.fixture\ndef base(request): return getattr(request, 'param', 1)\n\
    @pytest.fixture\ndef wide(): return 1\n@pytest.fixture\ndef late(): yield\n@pytest.fixture\ndef broken(): raise ValueError('x')\n";
const IMPORTS: &str = "import logging, os, pathlib, subprocess, sys, unittest, warnings\nimport pytest\nimport cached\n";
const CACHED: &str = "import functools, os, pathlib\n@functools.lru_cache(None)\ndef content(): return int((pathlib.Path(__file__).parent / 'data.txt').read_text())\n\
    _lazy = None\ndef lazy():\n    global _lazy\n    if _lazy is None: _lazy = len(os.environ.get('SAMPLE_A', ''))\n    return _lazy\n";

fn piece(random: &mut Random, feature: &str, text: impl Into<String>) -> Piece {
    Piece {
        feature: feature.into(),
        number: random.next(),
        text: text.into(),
    }
}

/// A piece from one of the templates, with the places filled that are left open in it.
fn filled(random: &mut Random, templates: &[Template]) -> Piece {
    let (name, template) = templates[random.below(templates.len())];
    let unique = (random.next() % 100_000).to_string();
    let small = random.below(4).to_string();
    let scope = SCOPES[random.below(SCOPES.len())];
    let text = format!("{}\n", template.trim_end())
        .replace("NN", &unique)
        .replace("KK", &small)
        .replace("SCOPE", scope);
    piece(random, name, text)
}

fn library(random: &mut Random, number: usize) -> Vec<Piece> {
    let imports = match number {
        0 => String::new(),
        _ => format!("import lib{}\n", number - 1),
    };
    let value = if number > 0 && random.below(2) == 0 {
        let more = random.below(3);
        format!("def value(): return lib{}.value() + {more}\n", number - 1)
    } else {
        format!("def value(): return {}\n", random.below(4))
    };
    let other = format!("def other(): return {}\n", random.below(4));
    let head = format!("\"\"\"Number {number}.\"\"\"\n{imports}");
    [head, value, other]
        .into_iter()
        .map(|text| piece(random, "", text))
        .collect()
}

fn digit(random: &mut Random) -> Vec<Piece> {
    let text = random.below(4).to_string();
    vec![piece(random, "", text)]
}

fn settings(random: &mut Random) -> Vec<Piece> {
    let mut chosen = Vec::new();
    for _ in 0..random.below(3) {
        chosen.push(filled(random, &SETTINGS));
    }
    chosen.sort_by_key(|piece| !piece.text.starts_with(' '));
    chosen.dedup_by_key(|piece| piece.feature.clone());
    chosen.insert(0, piece(random, "", INI));
    chosen
}

/// The pieces of a conftest; `first` is the outermost, which defines the fixtures that tests use.
fn conftest(random: &mut Random, first: bool) -> Vec<Piece> {
    let mut pieces = vec![piece(random, "", CONFTEST)];
    if first {
        pieces.push(piece(random, "", FIRST_CONFTEST));
    }
    for _ in 0..random.below(3) {
        pieces.push(filled(random, &FIXTURES));
    }
    if random.below(2) == 0 {
        pieces.push(filled(random, &HOOKS));
    }
    pieces
}

fn test_piece(random: &mut Random) -> Piece {
    match random.below(10) {
        0..4 => filled(random, &TESTS),
        4..6 => filled(random, &CLASSES),
        _ => filled(random, &INPUTS),
    }
}

fn test_file(random: &mut Random) -> Vec<Piece> {
    let head = format!(
        "{IMPORTS}import lib{} as lib\nHERE = os.path.dirname(__file__)\n",
        random.below(3)
    );
    let mut pieces = vec![piece(random, "", head)];
    if random.below(4) == 0 {
        pieces.push(filled(random, &HEADS));
    }
    if random.below(4) == 0 {
        pieces.push(filled(random, &FIXTURES));
    }
    for _ in 0..2 + random.below(6) {
        pieces.push(test_piece(random));
    }
    pieces
}

/// A new project.
pub fn generate(random: &mut Random) -> Sample {
    let mut sample = Sample::default();
    sample.files.insert("pytest.ini".into(), settings(random));
    for number in 0..3 {
        let pieces = library(random, number);
        sample.files.insert(format!("src/lib{number}.py"), pieces);
    }
    for (path, text) in [
        ("src/cached.py", CACHED),
        ("src/imported_tests.py", "def test_of_others(): assert 1\n"),
        ("src/pack/__init__.py", ""),
        ("src/pack/inner.py", "LEVEL = 1\n"),
    ] {
        let piece = piece(random, "", text);
        sample.files.insert(path.into(), vec![piece]);
    }
    for path in ["src/data.txt", "src/pack/data.txt"] {
        sample.files.insert(path.into(), digit(random));
    }
    for (number, folder) in FOLDERS.iter().enumerate() {
        if number == 0 || random.below(3) == 0 {
            let pieces = conftest(random, number == 0);
            sample.files.insert(format!("{folder}/conftest.py"), pieces);
        }
        for name in ["data.txt", "listed/a.txt"] {
            let pieces = digit(random);
            sample.files.insert(format!("{folder}/{name}"), pieces);
        }
        if random.below(6) == 0 {
            let piece = piece(random, "a package of tests", "");
            sample
                .files
                .insert(format!("{folder}/__init__.py"), vec![piece]);
        }
        if random.below(8) == 0 {
            let piece = piece(random, "file of another kind", "0 1 2\n");
            sample
                .files
                .insert(format!("{folder}/x.sample"), vec![piece]);
        }
    }
    for number in 0..2 + random.below(3) {
        let folder = FOLDERS[random.below(FOLDERS.len())];
        let kind = ["test", "test", "test", "check"][random.below(4)];
        let path = format!("{folder}/{kind}_{number}{}.py", random.below(100));
        let pieces = test_file(random);
        sample.files.insert(path, pieces);
    }
    for name in VARIABLES {
        if random.below(3) == 0 {
            let value = random.below(4).to_string();
            sample.environment.insert(name.into(), value);
        }
    }
    sample.arguments = match random.below(20) {
        0 => vec!["-m".into(), "slow".into()],
        1 => vec!["-m".into(), "not slow".into()],
        2 => vec!["-k".into(), "equal or test_x or Test".into()],
        3 => vec!["-k".into(), "not (file or print)".into()],
        4 => vec!["tests/one".into(), "tests/two".into()],
        _ => Vec::new(),
    };
    sample.arguments.retain(|argument| {
        argument.starts_with('-') || !argument.contains('/') || {
            let folder = format!("{argument}/");
            sample.files.keys().any(|path| path.starts_with(&folder))
        }
    });
    sample
}

/// Edits a project in one place; gives the kind of edit and where.
pub fn edit(random: &mut Random, sample: &mut Sample) -> (&'static str, String) {
    match random.below(15) {
        0..2 => {
            let name = VARIABLES[random.below(VARIABLES.len())].to_owned();
            if sample.environment.remove(&name).is_some() && random.below(2) == 0 {
                return ("a variable is unset", name);
            }
            let value = random.below(4).to_string();
            sample.environment.insert(name.clone(), value);
            ("a variable is set", name)
        }
        2..6 => toggled(random, sample),
        6..9 => {
            let folder = busy_folder(random, sample);
            let names = ["tests/data.txt", "src/data.txt", "src/pack/data.txt"];
            let path = match random.below(6) {
                at @ 0..3 => names[at].to_owned(),
                _ => format!("{folder}/data.txt"),
            };
            let pieces = digit(random);
            sample.files.insert(path.clone(), pieces);
            ("another content", path)
        }
        at => {
            let of_all = at < 12;
            let names = sample.files.keys();
            let count = names.len();
            let wanted = names.filter(|path| of_all || is_test_file(path));
            let paths: Vec<String> = wanted.cloned().collect();
            let Some(path) = random.pick(&paths).cloned() else {
                return ("nothing", String::new());
            };
            let kind = edit_file(random, sample, &path, count);
            (kind, path)
        }
    }
}

fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("test_") || name.starts_with("check_")
}

/// A folder in which there are tests.
fn busy_folder(random: &mut Random, sample: &Sample) -> &'static str {
    let busy: Vec<&str> = FOLDERS
        .into_iter()
        .filter(|folder| {
            sample.files.keys().any(|path| {
                let name = path
                    .strip_prefix(folder)
                    .and_then(|rest| rest.strip_prefix('/'));
                name.is_some_and(|name| name.starts_with("test_"))
            })
        })
        .collect();
    random.pick(&busy).copied().unwrap_or(FOLDERS[0])
}

/// Something appears, or goes if it is there.
fn toggled(random: &mut Random, sample: &mut Sample) -> (&'static str, String) {
    let folder = busy_folder(random, sample);
    let choice = [0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6][random.below(11)];
    let (path, texts): (String, &[&str]) = match choice {
        0 => (format!("{folder}/flag.txt"), &["1"]),
        1 => (format!("{folder}/listed/b.txt"), &[""]),
        2 => ("src/optional.py".into(), &["", "LEVEL = 1\n"]),
        3 => (
            "tests/lib0.py".into(),
            &["def value(): return 2\n", "def other(): return 2\n"],
        ),
        4 => (format!("{folder}/extra/x.txt"), &[""]),
        5 => ("tests/one/conftest.py".into(), &[]),
        _ => (format!("{folder}/test_new.py"), &[]),
    };
    if sample.files.remove(&path).is_some() {
        return ("a file goes", path);
    }
    let pieces = match choice {
        5 => conftest(random, false),
        6 => test_file(random),
        _ => texts.iter().map(|text| piece(random, "", *text)).collect(),
    };
    sample.files.insert(path.clone(), pieces);
    ("a file appears", path)
}

fn edit_file(random: &mut Random, sample: &mut Sample, path: &str, count: usize) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_test = is_test_file(path);
    if is_test && random.below(12) == 0 {
        let Some(pieces) = sample.files.remove(path) else {
            return "nothing";
        };
        if count > 14 && random.below(2) == 0 {
            return "a test file goes";
        }
        let new = path
            .replace("test_", "test_moved_")
            .replace("check_", "check_moved_");
        sample.files.insert(new, pieces);
        return "a test file is moved";
    }
    let Some(pieces) = sample.files.get_mut(path) else {
        return "nothing";
    };
    if name.ends_with(".txt") {
        *pieces = digit(random);
        return "another content";
    }
    let at = 1 + random.below(pieces.len());
    if at < pieces.len() {
        let digits: Vec<usize> = pieces[at]
            .text
            .char_indices()
            .filter(|(_, c)| ('0'..='3').contains(c))
            .map(|(i, _)| i)
            .collect();
        if let Some(place) = random
            .pick(&digits)
            .copied()
            .filter(|_| random.below(4) > 0)
        {
            let new = random.below(4).to_string();
            pieces[at].text.replace_range(place..=place, &new);
            return "another number";
        }
        if pieces[at].feature.is_empty() {
            pieces[0].text.push_str("# a comment\n");
            return "a comment";
        }
        pieces.remove(at);
        return "a piece goes";
    }
    let new = match name {
        "pytest.ini" => filled(random, &SETTINGS),
        "conftest.py" if random.below(3) > 0 => filled(random, &FIXTURES),
        "conftest.py" => filled(random, &HOOKS),
        _ if is_test => test_piece(random),
        _ if name.ends_with(".sample") => piece(random, "", " 3\n"),
        _ => piece(random, "", "# a comment\n"),
    };
    if pieces.iter().any(|piece| piece.feature == new.feature) && name == "pytest.ini" {
        return "nothing";
    }
    // Options belong below `addopts`.
    let at = if new.text.starts_with("    ") && name == "pytest.ini" {
        1
    } else {
        pieces.len()
    };
    pieces.insert(at, new);
    "a piece more"
}
