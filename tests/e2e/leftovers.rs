//! With `--select symbol` a test that finds what another one left in a variable depends on what that was made of, by whatever name the
//! variable was reached.

use crate::functions::edit_of;

const LIB: &str = "\
THINGS = []
box = type('Box', (), {})()

def fill(things, value):
    things.append(value)

def untouched():
    return 3
";

const TESTS: &str = "\
import lib, user

def test_first():
    user.leave()

def test_second():
    assert FOUND

def test_third():
    assert lib.untouched() == 3
";

/// Whoever runs `user` leaves 1, which `found` finds.
#[track_caller]
fn is_found(user: &str, found: &str) {
    let user = format!("from calc import compute\n{user}");
    let tests = TESTS.replace("FOUND", found);
    let files = [
        ("calc.py", "def compute():\n    return 1\n"),
        ("lib.py", LIB),
        ("pkg/__init__.py", ""),
        ("pkg/mod.py", "LIST = []\n"),
        ("user.py", &user),
        ("test_a.py", &tests),
    ];
    let both = ["test_first", "test_second"];
    edit_of("calc.py", &files, "return 1", "return 0 + 1", &both);
}

#[test]
fn a_variable_may_be_reached_by_an_import() {
    for user in [
        "from lib import THINGS\ndef leave():\n    THINGS.append(compute())\n",
        "def leave():\n    from lib import THINGS\n    THINGS.append(compute())\n",
        "from lib import THINGS as things\ndef leave():\n    things.append(compute())\n",
        "from lib import *\ndef leave():\n    THINGS.append(compute())\n",
        "from lib import THINGS\nalso = THINGS\ndef leave():\n    also.append(compute())\n",
        "import lib\nalso = lib.THINGS\ndef leave():\n    also.append(compute())\n",
        "import lib\ndef leave():\n    lib.THINGS.append(compute())\n",
        "import lib\ndef leave():\n    lib.THINGS[:] = [compute()]\n",
    ] {
        is_found(user, "lib.THINGS == [1]");
    }
}

#[test]
fn a_variable_may_be_handed_to_what_changes_it() {
    for user in [
        "from lib import THINGS, fill\ndef leave():\n    fill(THINGS, compute())\n",
        "from lib import THINGS as things, fill\ndef leave():\n    fill(things, compute())\n",
        "import lib\ndef leave():\n    lib.fill(lib.THINGS, compute())\n",
        "import lib as other\ndef leave():\n    other.fill(other.THINGS, compute())\n",
        "from lib import *\ndef leave():\n    fill(THINGS, compute())\n",
    ] {
        is_found(user, "lib.THINGS == [1]");
    }
    let user = "import pkg.mod, lib\ndef leave():\n    lib.fill(pkg.mod.LIST, compute())\n";
    is_found(user, "__import__('pkg.mod').mod.LIST == [1]");
}

#[test]
fn an_object_of_a_variable_may_be_given_attributes() {
    for user in [
        "import lib\ndef leave():\n    lib.box.value = compute()\n",
        "import lib\ndef leave():\n    give(lib.box)\ndef give(box):\n    box.value = compute()\n",
        "from lib import box\ndef leave():\n    box.value, _ = compute(), 0\n",
    ] {
        is_found(user, "lib.box.value == 1");
    }
}

#[test]
fn a_value_by_default_may_be_kept() {
    let user =
        "def leave(value=None, kept=[]):\n    kept.append(value or compute())\n    return kept\n";
    is_found(user, "user.leave(2) == [1, 2]");
}

#[test]
fn a_variable_of_the_environment_may_be_asked_for_without_its_name() {
    let user = "import os\ndef leave():\n    os.environ['LEFT_HERE'] = str(compute())\n";
    for found in [
        "__import__('os').getenv('LEFT_HERE') == '1'",
        "__import__('os').path.expandvars('$LEFT_HERE') == '1'",
    ] {
        is_found(user, found);
    }
}
