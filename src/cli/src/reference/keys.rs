//! The chapter on configuration: a table of the keys of dx-py.toml, which a test compares with those that are read, and of the
//! environment variables.

use super::{WRITTEN, cell, push};

/// A key of dx-py.toml.
struct Key {
    name: &'static str,
    /// What kind of value it takes, in the words of TOML.
    kind: &'static str,
    /// What holds without it.
    default: &'static str,
    meaning: &'static str,
    /// A value, as it is written in the file.
    example: &'static str,
}

const KEYS: [Key; 15] = [
    Key {
        name: "python",
        kind: "string",
        default: "`VIRTUAL_ENV`, `.venv`, the environment in which dx-py is installed beside pytest, or `python3` on `PATH`",
        meaning: "The interpreter that runs the tests, or its virtual environment; a relative path starts at the root of the project",
        example: r#"".venv""#,
    },
    Key {
        name: "workers",
        kind: "integer",
        default: "`-n` in pytest's `addopts`, or one for each core",
        meaning: "How many workers run tests",
        example: "4",
    },
    Key {
        name: "timeout",
        kind: "float",
        default: "none",
        meaning: "How many seconds a test may take. One that takes longer has failed, and its worker is ended and replaced",
        example: "60.0",
    },
    Key {
        name: "slow-after",
        kind: "float",
        default: "60.0",
        meaning: "After how many seconds the report says which test a worker is still busy with, and again each time as many have passed; 0 for \
                  never",
        example: "10.0",
    },
    Key {
        name: "patience",
        kind: "float",
        default: "30.0",
        meaning: "After how many seconds in which a worker uses no CPU time, beside others and in a test that isn't known to take long, it is ended \
                  and the test runs again alone; 0 for never",
        example: "20.0",
    },
    Key {
        name: "expire-days",
        kind: "integer",
        default: "30",
        meaning: "After how many days a recorded pass counts no more, so that its test runs again; 0 for never",
        example: "7",
    },
    Key {
        name: "env",
        kind: "array of strings",
        default: "`[]`",
        meaning: "Environment variables whose values count as inputs of every test. Those that tests read through `os.environ` count by \
                  themselves, each for its test; this is for those that are read where dx-py can't see it, as by native code",
        example: r#"["TZ", "DATABASE_URL"]"#,
    },
    Key {
        name: "always",
        kind: "array of strings",
        default: "`[]`",
        meaning: "Globs of test IDs that run in every run. The mark `dx_always` does the same for one test",
        example: r#"["tests/live/*"]"#,
    },
    Key {
        name: "serial",
        kind: "array of strings",
        default: "`[]`",
        meaning: "Globs of test files that run alone, after all others, in one worker that collects everything as pytest does",
        example: r#"["tests/test_port.py"]"#,
    },
    Key {
        name: "python-files",
        kind: "array of strings",
        default: "`[]`",
        meaning: "Globs of files that `dx-py discover` takes for test files, beside pytest's `python_files`",
        example: r#"["check_*.py"]"#,
    },
    Key {
        name: "select",
        kind: "string",
        default: "`auto`",
        meaning: "What a change must touch for a test to run: a `module` that it imports, or, from Python 3.12 on, a `symbol`, a function \
                  that it runs. `auto` is as `symbol`, but first runs and `--all` look at modules alone. With `off` it isn't seen what tests \
                  depend on, and those that ran so run again. `--select` takes precedence",
        example: r#""symbol""#,
    },
    Key {
        name: "fixtures-mb",
        kind: "integer",
        default: "8000",
        meaning: "How many megabytes cached fixtures may take together; what wasn't used for the longest time goes first",
        example: "2000",
    },
    Key {
        name: "daemon",
        kind: "boolean",
        default: "`true`, but `false` where `CI` is set",
        meaning: "Whether an interpreter is kept warm between runs",
        example: "false",
    },
    Key {
        name: "preload",
        kind: "array of strings",
        default: "`[]`",
        meaning: "Installed modules that the warm interpreter imports ahead of time, beside pytest",
        example: r#"["django", "sqlalchemy"]"#,
    },
    Key {
        name: "auto-preload",
        kind: "boolean",
        default: "`true`",
        meaning: "Whether the warm interpreter also imports the installed modules that the tests were seen to import, if they take time and importing them earlier is the same",
        example: "false",
    },
];

/// Environment variables, and what they do.
const VARIABLES: [(&str, &str); 6] = [
    (
        "`VIRTUAL_ENV`",
        "the virtual environment whose interpreter runs the tests, if neither `--python` nor `python` names one",
    ),
    (
        "`CI`",
        "if it is set, no interpreter is kept warm and no snapshot is written, unless that is asked for. Tests may notice it, so \
         records made with it say nothing about runs without it",
    ),
    (
        "`DX_PY_DAEMON`",
        "`0` or `1`: whether an interpreter is kept warm, whatever dx-py.toml says",
    ),
    (
        "`DX_PY_FIXTURES_VERIFY`",
        "`1`: the buffers of cached fixtures are checked each time they are used, which takes about a second for each GB",
    ),
    ("`PYTEST_ADDOPTS`", "as in pytest"),
    (
        "`NO_COLOR`",
        "if it is set and not empty, output has no colours unless `--color always` is given",
    ),
];

/// The chapter.
pub fn configuration() -> String {
    let mut text = format!(
        "{WRITTEN}# Configuration\n\n\
         None is needed. What dx-py has to know that pytest's configuration doesn't say stands in `dx-py.toml`, in pytest's root \
         directory, or in the table `[tool.dx-py]` of `pyproject.toml` there. If there is a `dx-py.toml`, the table isn't looked at. A \
         key that doesn't exist, or a value of the wrong kind, is an error that names the line.\n\n\
         pytest's own configuration holds as it is, in any file that pytest reads. `dx-py config show` prints what is in force, and where it \
         comes from.\n\n\
         ## Keys\n\n| key | value | without it | meaning |\n| --- | --- | --- | --- |\n"
    );
    for key in &KEYS {
        push(
            &mut text,
            format_args!(
                "| `{}` | {} | {} | {} |\n",
                key.name,
                key.kind,
                cell(key.default),
                cell(key.meaning)
            ),
        );
    }
    text.push_str("\nAll of them, each with some value:\n\n```toml\n");
    text.push_str(&example());
    text.push_str("```\n\n## Environment variables\n\n| variable | meaning |\n| --- | --- |\n");
    for (name, meaning) in VARIABLES {
        push(&mut text, format_args!("| {name} | {} |\n", cell(meaning)));
    }
    text
}

/// A dx-py.toml with every key.
fn example() -> String {
    let lines = KEYS
        .iter()
        .map(|key| format!("{} = {}\n", key.name, key.example));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde::de::value::Error;
    use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
    use serde::forward_to_deserialize_any;

    use super::*;
    use crate::settings::ConfigFile;

    /// Gives nothing; its error is the names of the fields that a structure asks for.
    struct Asked;

    impl<'de> Deserializer<'de> for Asked {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("not a structure"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            Err(Error::custom(fields.join(" ")))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
            tuple_struct map enum identifier ignored_any
        }
    }

    #[test]
    fn the_table_has_the_keys_that_are_read() {
        let read = ConfigFile::deserialize(Asked).unwrap_err().to_string();
        let told: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(told.join(" "), read);
    }

    #[test]
    fn each_example_is_valid_and_says_something() {
        toml::from_str::<ConfigFile>(&example()).unwrap();
        for key in &KEYS {
            let line = format!("{} = {}\n", key.name, key.example);
            let config: ConfigFile = toml::from_str(&line).unwrap();
            assert_ne!(config, ConfigFile::default(), "{line}");
        }
    }
}
