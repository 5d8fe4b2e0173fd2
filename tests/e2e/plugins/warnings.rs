//! Plugins that hear of warnings: from several workers what they hear in pytest's own session.

use std::fs;

use serde_json::Value;

use super::OTHER;
use crate::support::Project;

/// Notes each warning with all that plugins may look at, in the session that isn't a worker's.
const PLUGIN: &str = "import json, os\nheard = []\n\
    def pytest_warning_recorded(warning_message, when, nodeid, location):\n    w = warning_message\n    \
    kind = type(w.message)\n    arguments = [a if isinstance(a, (str, int)) else str(a) for a in w.message.args]\n    \
    heard.append([when, nodeid, w.category.__name__, kind.__name__, str(w.message), arguments, os.path.basename(w.filename), w.lineno, location])\n\
    def pytest_unconfigure(config):\n    if not hasattr(config, 'workerinput'):\n        \
    with open('heard.json', 'w') as file: json.dump(sorted(heard, key=str), file)\n";

fn heard(project: &Project) -> Value {
    let text = fs::read_to_string(project.path().join("heard.json"));
    let _ = fs::remove_file(project.path().join("heard.json"));
    serde_json::from_str(&text.expect("the plugin wrote it")).expect("the plugin writes JSON")
}

#[test]
fn a_plugin_that_hears_of_warnings() {
    let project = Project::new(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = -p listener\nfilterwarnings = always\n",
        ),
        ("listener.py", PLUGIN),
        (
            "lib.py",
            "class Plain(DeprecationWarning):\n    def __str__(self): return 'plain ' + '-'.join(map(str, self.args))\n",
        ),
        (
            "conftest.py",
            "import warnings\nwarnings.warn('in a conftest')\ndef pytest_configure(): warnings.warn('in a hook')\n",
        ),
        (
            "test_a.py",
            "import lib, pytest, warnings\nwarnings.warn('while collecting')\n\
             @pytest.mark.unknown\ndef test_repeated():\n    for i in range(3): warnings.warn('again')\n\
             @pytest.fixture\ndef late():\n    yield\n    warnings.warn('late', ResourceWarning)\n\
             def test_classes(late): warnings.warn(lib.Plain('a', 1))\n\
             def test_fails():\n    warnings.warn('before a failure', SyntaxWarning)\n    assert 0\n",
        ),
        (
            "test_b.py",
            "import warnings\nclass Own(Warning): pass\ndef test_own(): warnings.warn('own', Own)\n\
             def test_object(): warnings.warn(UserWarning(type('X', (), {'__repr__': lambda self: 'x'})()))\n",
        ),
        OTHER,
    ]);
    project.pytest(&[]);
    let expected = heard(&project);
    assert!(expected.as_array().map_or(0, Vec::len) > 9, "{expected}");
    for workers in ["1", "2"] {
        let run = project.test(&["-n", workers, "--all"]);
        assert_eq!(run.code, 1, "{}{}", run.out, run.err);
        assert_eq!(run.json["summary"]["workers"].to_string(), workers);
        let heard = heard(&project);
        assert_eq!(
            format!("{heard:#}"),
            format!("{expected:#}"),
            "-n {workers}\n{}",
            run.out
        );
    }
}

/// A class that only the worker knows, or that wants other arguments than it keeps, is told by its name, as under xdist.
#[test]
fn a_warning_whose_class_only_the_worker_knows() {
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\naddopts = -p listener\n"),
        ("listener.py", PLUGIN),
        (
            "lib.py",
            "class Picky(UserWarning):\n    def __init__(self, *, code):\n        super().__init__(f'code {code}')\n",
        ),
        (
            "test_a.py",
            "import lib, warnings\ndef test_local():\n    class Local(FutureWarning): pass\n    warnings.warn('local', Local)\n\
             def test_picky(): warnings.warn(lib.Picky(code=3))\n",
        ),
        OTHER,
    ]);
    let run = project.test(&["-n", "2"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let heard = heard(&project);
    let told = |at: usize| {
        [&heard[at][2], &heard[at][4]].map(|text| text.as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(
        told(0),
        ["FutureWarning", "test_a.test_local.<locals>.Local: local"]
    );
    assert_eq!(told(1), ["Picky", "lib.Picky: code 3"]);
}
