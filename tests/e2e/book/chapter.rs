//! What a chapter of the book asks to be done: its files and its commands, in the order in which they stand.

use std::path::PathBuf;

/// One thing to do.
#[derive(Debug)]
pub enum Step {
    /// Write a file.
    Write {
        /// Relative to the project.
        file: String,
        /// All of it.
        text: String,
    },
    /// Run a command.
    Run {
        /// As the shell takes it.
        command: String,
        /// Its exit code.
        exit: i32,
        /// What is shown below it; not compared if there is nothing.
        output: Vec<String>,
        /// Whether it shows what only Pythons do that tell which functions run; others leave it out.
        needs_functions: bool,
        /// Whether it is a line of a recipe for a CI system.
        in_ci: bool,
    },
}

/// A chapter.
#[derive(Debug, Default)]
pub struct Chapter {
    /// The project that it starts from, relative to the repository; an empty one if there is none.
    pub project: Option<PathBuf>,
    /// Whether it needs the Python package, which is installed with the wheel.
    pub needs_package: bool,
    /// What is done.
    pub steps: Vec<Step>,
}

/// Commands that aren't run: what they set up is there.
const SET_UP: [&str; 2] = ["pip install ", "python -m venv "];

impl Chapter {
    /// Reads a chapter. A block with `file=PATH` is a file. In a `console` block each line that begins with `$ ` is a command, what
    /// follows it is its output, and `exit=N` is the exit code of the last one; with `needs=functions` it is left out before Python 3.12. A
    /// block of `yaml` is a recipe.
    pub fn parse(text: &str) -> Self {
        let mut chapter = Self::default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(project) = comment(line, "project: ") {
                chapter.project = Some(project.into());
            }
            chapter.needs_package |= comment(line, "needs: ") == Some("the installed package");
            let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else {
                continue;
            };
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let mut words = info.split(',');
            let language = words.next().unwrap_or_default();
            let value = |key: &str| {
                words
                    .clone()
                    .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
            };
            match (language, value("file")) {
                (_, Some(file)) => chapter.steps.push(Step::Write {
                    file: file.to_owned(),
                    text: block.join("\n") + "\n",
                }),
                ("console", None) => {
                    let exit = value("exit").map_or(0, |code| code.parse().expect("a number"));
                    let needs_functions = value("needs") == Some("functions");
                    chapter.steps.extend(session(&block, exit, needs_functions));
                }
                ("yaml", None) => chapter.steps.extend(recipe(&block)),
                _ => {}
            }
        }
        chapter
    }
}

fn comment<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix("<!-- ")?
        .strip_prefix(key)?
        .strip_suffix(" -->")
}

fn is_set_up(command: &str) -> bool {
    SET_UP.iter().any(|set_up| command.starts_with(set_up))
}

/// The commands of a `console` block.
fn session(block: &[&str], last_exit: i32, needs_functions: bool) -> Vec<Step> {
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push((*line).to_owned()),
            (None, None) => panic!("a block begins with output: {line}"),
        }
    }
    let count = steps.len();
    let numbered = steps.into_iter().enumerate();
    numbered
        .filter(|(_, (command, _))| !is_set_up(command))
        .map(|(number, (command, output))| Step::Run {
            command,
            exit: if number + 1 == count { last_exit } else { 0 },
            output,
            needs_functions,
            in_ci: false,
        })
        .collect()
}

/// The commands of a recipe: what follows `run:` (GitHub), and the items of `script:` (GitLab). A line that names its machine's part is run
/// for each part.
fn recipe(block: &[&str]) -> Vec<Step> {
    let mut commands = Vec::new();
    let mut is_script = false;
    for line in block {
        let line = line.trim();
        let item = line.strip_prefix("- ").unwrap_or(line);
        if let Some(command) = item.strip_prefix("run: ") {
            commands.push(command.to_owned());
        } else if is_script && line.starts_with("- ") {
            commands.push(item.to_owned());
        } else {
            is_script = line == "script:";
        }
    }
    let whole = block.join("\n");
    let github = whole
        .split("shard: [")
        .nth(1)
        .and_then(|list| list.split(']').next());
    let gitlab = whole
        .split("parallel: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let part = |command: &String| -> Vec<String> {
        if let Some(list) = github.filter(|_| command.contains("${{ matrix.shard }}")) {
            let numbers = list.split(',').map(str::trim);
            return numbers
                .map(|number| command.replace("${{ matrix.shard }}", number))
                .collect();
        }
        if let Some(count) = gitlab.filter(|_| command.contains("$CI_NODE_INDEX")) {
            let numbers = 1..=count.parse::<usize>().expect("a number");
            return numbers
                .map(|number| {
                    command
                        .replace("$CI_NODE_INDEX", &number.to_string())
                        .replace("$CI_NODE_TOTAL", count)
                })
                .collect();
        }
        vec![command.clone()]
    };
    let commands = commands.iter().filter(|command| !is_set_up(command));
    commands
        .flat_map(part)
        .map(|command| Step::Run {
            command,
            exit: 0,
            output: Vec::new(),
            needs_functions: false,
            in_ci: true,
        })
        .collect()
}

#[test]
fn files_commands_and_recipes_are_found() {
    let text = "<!-- project: testdata/shop -->\n```python,file=a.py\nx = 1\n```\n```console,needs=functions,exit=1\n$ pip install x\n$ dx-py test\nout\n$ \
                dx-py audit\n```\n```yaml\nparallel: 2\nscript:\n  - pip install x\n  - dx-py test --shard $CI_NODE_INDEX/$CI_NODE_TOTAL\n\
                other:\n  - x\n```\n```yaml\nshard: [1, 2]\n- run: dx-py test --shard ${{ matrix.shard }}/2\n```\n```text\n$ no\n```\n";
    let chapter = Chapter::parse(text);
    assert_eq!(chapter.project, Some("testdata/shop".into()));
    let told: Vec<String> = chapter
        .steps
        .iter()
        .map(|step| match step {
            Step::Write { file, text } => format!("{file}: {text}"),
            Step::Run {
                command,
                exit,
                output,
                needs_functions,
                in_ci,
            } => format!("{command} {exit} {output:?} {needs_functions} {in_ci}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "a.py: x = 1\n",
            "dx-py test 0 [\"out\"] true false",
            "dx-py audit 1 [] true false",
            "dx-py test --shard 1/2 0 [] false true",
            "dx-py test --shard 2/2 0 [] false true",
            "dx-py test --shard 1/2 0 [] false true",
            "dx-py test --shard 2/2 0 [] false true",
        ]
    );
}
