//! The synthetic suites of the benchmarks.

use std::fs;
use std::path::Path;

use anyhow::Result;

fn write(dir: &Path, name: &str, text: &str) -> Result<()> {
    let path = dir.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(path, text)?)
}

/// pytest's settings, with `more` of them. Runners that look for a project above the working directory find one here.
fn settings(dir: &Path, more: &str) -> Result<()> {
    write(
        dir,
        "pyproject.toml",
        "[project]\nname = \"suite\"\nversion = \"1\"\n",
    )?;
    write(
        dir,
        "pytest.ini",
        &format!("[pytest]\ntestpaths = tests\n{more}"),
    )
}

/// So many files with so many trivial tests each.
///
/// # Errors
/// If it can't be written.
pub fn trivial(dir: &Path, files: usize, tests: usize) -> Result<()> {
    settings(dir, "")?;
    for file in 0..files {
        let mut text = String::new();
        for test in 0..tests {
            text.push_str(&format!(
                "def test_{test}():\n    assert {test} + 1 == {}\n\n\n",
                test + 1
            ));
        }
        write(dir, &format!("tests/test_{file:03}.py"), &text)?;
    }
    Ok(())
}

/// So many files with ten tests each, of which every one keeps a core busy for 20 ms.
///
/// # Errors
/// If it can't be written.
pub fn cpu(dir: &Path, files: usize) -> Result<()> {
    settings(dir, "")?;
    for file in 0..files {
        let mut text = String::from(
            "import time\n\n\ndef work():\n    end = time.process_time() + 0.02\n    while time.process_time() < end:\n        pass\n",
        );
        for test in 0..10 {
            text.push_str(&format!("\n\ndef test_{test}():\n    work()\n"));
        }
        write(dir, &format!("tests/test_{file:03}.py"), &text)?;
    }
    Ok(())
}

/// Groups of ten files with 20 typical tests each: fixtures of all scopes, parametrisation, classes, conftests, temporary folders, captured
/// output, monkeypatching, marks, skips, expected failures, and sources on `pythonpath` that each serve ten files.
///
/// # Errors
/// If it can't be written.
pub fn typical(dir: &Path, groups: usize) -> Result<()> {
    settings(dir, "pythonpath = src\nmarkers =\n    slow: takes long\n")?;
    for module in 0..groups {
        write(
            dir,
            &format!("src/shop/part{module}.py"),
            &format!(
                "RATE = {module}\n\n\ndef price(amount, discount=0):\n    return amount * 10 + RATE - discount\n\n\ndef greet(name):\n    print(f\"hello {{name}} {module}\")\n"
            ),
        )?;
    }
    write(dir, "src/shop/__init__.py", "")?;
    write(
        dir,
        "tests/conftest.py",
        "import pytest\n\n\n@pytest.fixture(scope=\"session\")\ndef catalogue(tmp_path_factory):\n    path = tmp_path_factory.mktemp(\"catalogue\") / \"items.txt\"\n    path.write_text(\"a\\nb\\nc\\n\")\n    return path\n\n\n@pytest.fixture\ndef numbers():\n    return [1, 2, 3]\n\n\n@pytest.fixture(autouse=True)\ndef currency(monkeypatch):\n    monkeypatch.setenv(\"SHOP_CURRENCY\", \"EUR\")\n",
    )?;
    for group in 0..groups {
        write(
            dir,
            &format!("tests/group{group}/conftest.py"),
            &format!(
                "import pytest\n\n\n@pytest.fixture(scope=\"package\")\ndef group():\n    return {group}\n"
            ),
        )?;
        for file in 0..10 {
            write(
                dir,
                &format!("tests/group{group}/test_g{group}_{file}.py"),
                &typical_file(group),
            )?;
        }
    }
    Ok(())
}

fn typical_file(module: usize) -> String {
    format!(
        r#"import os

import pytest

from shop import part{module}


@pytest.fixture(scope="module")
def table():
    rows = {{n: part{module}.price(n) for n in range(5)}}
    yield rows
    rows.clear()


@pytest.fixture(scope="class")
def basket():
    return []


@pytest.mark.parametrize("amount", [0, 1, 2, 3, 4])
def test_price(amount, table):
    assert table[amount] == amount * 10 + {module}


@pytest.mark.parametrize(("discount", "expected"), [(0, 10), (1, 9), (5, 5)])
def test_discount(discount, expected):
    assert part{module}.price(1, discount) - part{module}.RATE == expected


class TestBasket:
    def test_first(self, basket):
        basket.append(1)
        assert basket == [1]

    def test_second(self, basket):
        assert isinstance(basket, list)

    def test_group(self, group):
        assert group == {module}


def test_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("hello")
    assert path.read_text() == "hello"


def test_output(capsys):
    part{module}.greet("you")
    assert capsys.readouterr().out == "hello you {module}\n"


def test_patched(monkeypatch):
    monkeypatch.setattr(part{module}, "RATE", 100)
    assert part{module}.price(0) == 100


def test_currency():
    assert os.environ["SHOP_CURRENCY"] == "EUR"


def test_catalogue(catalogue):
    assert catalogue.read_text().split() == ["a", "b", "c"]


@pytest.mark.slow
def test_numbers(numbers):
    assert sum(numbers) == 6


@pytest.mark.skip(reason="not sold here")
def test_skipped():
    raise AssertionError


@pytest.mark.xfail(reason="known to be wrong")
def test_expected_failure():
    assert part{module}.price(1) == -1


def test_raises():
    with pytest.raises(TypeError):
        part{module}.price()
"#
    )
}
