//! Where results go: a page and a plot for each day in `benches/results/`, and the section of README.md that shows the newest.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::machine::Machine;
use super::peers::{Installed, Peer};
use super::plot;
use super::rows::{Measured, factor, seconds};

const BEGIN: &str = "<!-- benchmark: begin; written by `cargo xtask bench` -->";
const END: &str = "<!-- benchmark: end -->";
/// The suites that the plot and README.md show.
const SHOWN: [&str; 2] = ["trivial", "typical"];

/// How to read the tables.
pub fn legend(cores: usize, installed: &[Installed]) -> String {
    let mut text = String::from(
        "Made by `cargo xtask bench`. Wall and CPU time are medians; CPU time is that of all processes of a run, peak MB the most that \
         one of them had resident. *Outcomes* compares what each run told, also a first one that isn't measured, with what pytest tells: \
         `right` is the same number of tests for each outcome. karva counts expected failures as passed, rustest as skipped and errors as \
         failed, and tiderace's last line has expected failures only in its total: that is allowed for. By its \
         default scheduler tiderace gives tests the package fixtures of other packages, so it is called with the other one. Bytecode is warm, and what runners keep of earlier runs, such as durations, stays unless a row says otherwise. *First-ever run*: \
         no records are there. *One edit*: one source file, or one test file where the suite has no sources, gets another line. *One \
         function edited*: its body gets another line.\n\n",
    );
    let version = |peer: Peer| {
        installed.iter().find(|one| one.peer == peer).map_or_else(
            || env!("CARGO_PKG_VERSION").to_owned(),
            |one| one.version.clone(),
        )
    };
    text.push_str("| runner | version | called as |\n| --- | --- | --- |\n");
    for peer in installed.iter().map(|one| one.peer).chain([Peer::Dx]) {
        let path = if peer.reads_no_ini() {
            " with `PYTHONPATH=src`"
        } else {
            ""
        };
        text.push_str(&format!(
            "| {} | {} | `{}`{path} |\n",
            peer.name(),
            version(peer),
            peer.call(cores)
        ));
    }
    text
}

/// The sections of a page, each with its heading.
fn sections(page: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            all.push((name.to_owned(), String::new()));
        }
        if let Some((_, text)) = all.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    all
}

/// The page with these sections in place of older ones of the same names; sections that weren't measured again stay.
fn page(date: &str, legend: &str, before: &str, new: Vec<(String, String)>) -> String {
    let mut all = sections(before);
    for (name, text) in new {
        match all.iter_mut().find(|(old, _)| *old == name) {
            Some(place) => place.1 = text,
            None => all.push((name, text)),
        }
    }
    let bodies: Vec<&str> = all.iter().map(|(_, text)| text.trim_end()).collect();
    format!(
        "# Benchmarks of {date}\n\n{legend}\n{}\n",
        bodies.join("\n\n")
    )
}

/// Writes the page and, if the suites that it shows were measured, the plot; into `folder`.
///
/// # Errors
/// If something can't be written.
pub fn write(
    folder: &Path,
    machine: &Machine,
    legend: &str,
    suites: &[Measured],
    corpus: Option<String>,
) -> Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.md", machine.date));
    let before = fs::read_to_string(&path).unwrap_or_default();
    let mut new: Vec<(String, String)> = suites
        .iter()
        .map(|suite| (suite.name.clone(), suite.markdown()))
        .collect();
    new.extend(corpus.map(|text| ("real projects".to_owned(), text)));
    fs::write(&path, page(&machine.date, legend, &before, new))?;
    println!("written to {}", path.display());
    if let Some(shown) = shown(suites) {
        fs::write(
            folder.join(format!("{}.svg", machine.date)),
            plot::svg(&shown)?,
        )?;
    }
    Ok(())
}

/// The suites that README.md shows; none unless all were measured.
fn shown(suites: &[Measured]) -> Option<Vec<&Measured>> {
    SHOWN
        .iter()
        .map(|name| suites.iter().find(|suite| suite.name == *name))
        .collect()
}

/// Rewrites the section of README.md, if the suites that it shows were measured.
///
/// # Errors
/// If README.md has no such section or can't be written.
pub fn show(readme: &Path, date: &str, suites: &[Measured]) -> Result<()> {
    let Some(shown) = shown(suites) else {
        return Ok(());
    };
    let text = fs::read_to_string(readme)?;
    let written = between_marks(&text, &summary(date, &shown))
        .with_context(|| format!("{} has no section for benchmarks", readme.display()))?;
    Ok(fs::write(readme, written)?)
}

fn between_marks(text: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{new}{END}{after}"))
}

/// The plot and one table of several suites with the same rows.
fn summary(date: &str, suites: &[&Measured]) -> String {
    let mut text = format!(
        "![Wall time of each runner]({}.svg)\n\n",
        Path::new("benches/results").join(date).display()
    );
    let mut head = String::from("| runner |");
    let mut line = String::from("| --- |");
    for suite in suites {
        head.push_str(&format!(" {} s | pytest ÷ it | outcomes |", suite.name));
        line.push_str(" ---: | ---: | --- |");
    }
    text.push_str(&format!("{head}\n{line}\n"));
    for (number, row) in suites[0].rows.iter().enumerate() {
        text.push_str(&format!("| {} |", row.heading));
        for suite in suites {
            let wall = suite.rows.get(number).and_then(|row| row.wall());
            let times = wall.zip(suite.pytest());
            let verdict = suite.rows.get(number).map(|row| row.verdict());
            text.push_str(&format!(
                " {} | {} | {} |",
                wall.map_or_else(|| "–".into(), seconds),
                times.map_or_else(|| "–".into(), |(wall, pytest)| factor(pytest / wall)),
                verdict.unwrap_or_default()
            ));
        }
        text.push('\n');
    }
    for suite in suites {
        text.push_str(&format!(
            "\n*{}*: {}. {}\n",
            suite.name, suite.title, suite.circumstances
        ));
    }
    text.push_str(&format!(
        "\nHow each is measured and called: [{date}](benches/results/{date}.md).\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::example;
    use super::*;

    #[test]
    fn suites_that_were_not_measured_again_keep_their_section() {
        let section = |name: &str, text: &str| (name.to_owned(), format!("## {name}\n\n{text}\n"));
        let first = page(
            "d",
            "legend\n",
            "",
            vec![section("a", "1"), section("b", "2")],
        );
        let second = page("d", "legend\n", &first, vec![section("b", "3")]);
        assert_eq!(
            second,
            "# Benchmarks of d\n\nlegend\n\n## a\n\n1\n\n## b\n\n3\n"
        );
    }

    #[test]
    fn the_section_of_the_readme_is_replaced_and_nothing_else() {
        let before = format!("# x\n\n{BEGIN}\nold\n{END}\n\nmore\n");
        let after = between_marks(&before, "new\n");
        assert_eq!(after, Some(format!("# x\n\n{BEGIN}\nnew\n{END}\n\nmore\n")));
        assert_eq!(between_marks("no marks", "new"), None);
    }

    #[test]
    fn the_readme_has_the_section() {
        let readme = fs::read_to_string(crate::project::root().join("README.md")).unwrap();
        assert!(between_marks(&readme, "").is_some());
    }

    #[test]
    fn the_summary_has_a_row_for_each_runner() {
        let (one, two) = (example("trivial"), example("typical"));
        let text = summary("2026-01-02", &[&one, &two]);
        let wanted = "| runner | trivial s | pytest ÷ it | outcomes | typical s | pytest ÷ it | outcomes |\n\
            | --- | ---: | ---: | --- | ---: | ---: | --- |\n\
            | pytest | 3.00 | 1.00 | right | 3.00 | 1.00 | right |\n";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("benches/results/2026-01-02.svg"));
        assert!(shown(&[one]).is_none());
    }
}
