//! What `docs/operations.md` says of the program is what the program says.

use std::collections::BTreeSet;
use std::fs;

use fakeapi_tests::Program;
use http::Method;

use super::root;

/// Figures of the kernel side, which the program of this test does not have.
const OF_THE_KERNEL: &str = "fakeapi_edge_packets_total";

/// The names of figures in a text, which begin with `fakeapi_`.
fn figures(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("fakeapi_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_figures_it_lists_are_those_there_are() {
    let program = Program::start(&[]).await.unwrap();
    let answer = program.control().send(Method::GET, "/metrics", "").await.unwrap();
    assert_eq!(answer.status, 200);
    let mut there = figures(&answer.text());
    assert!(there.len() > 10, "{there:?}");
    there.insert(OF_THE_KERNEL.to_owned());
    let listed = figures(&fs::read_to_string(root().join("docs/operations.md")).unwrap());
    assert_eq!(listed, there);
}

#[test]
fn the_options_it_names_are_those_there_are() {
    let program = fakeapi_tests::binary::path().unwrap();
    let help = std::process::Command::new(program).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let text = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c));
    let variables: BTreeSet<&str> = words.filter(|word| word.starts_with("FAKEAPI_")).collect();
    assert!(variables.len() > 5, "{variables:?}");
    for variable in variables {
        assert!(help.contains(&format!("[env: {variable}=")), "{variable}");
    }
}

/// The texts that the troubleshooting table quotes are in the program.
#[test]
fn the_texts_it_quotes_are_in_the_program() {
    let mut sources = String::new();
    read_sources(&root().join("fakeapi/src"), &mut sources);
    let sources = joined(&sources);
    let text = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, rest) = text.split_once("\n## Troubleshooting\n").unwrap();
    let (table, _) = rest.split_once("\n## ").unwrap_or((rest, ""));
    let mut quoted = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let (_, rest) = row.split_once('`').unwrap();
        let (symptom, _) = rest.split_once('`').unwrap();
        // Dots stand for what differs from case to case.
        for part in symptom.split("...").map(str::trim).filter(|part| !part.is_empty()) {
            assert!(sources.contains(part), "no source says {part:?}");
            quoted += 1;
        }
    }
    assert!(quoted >= 10, "only {quoted} texts are quoted");
}

fn read_sources(directory: &std::path::Path, sources: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// With the line breaks taken out that string literals have for the sake of the sources' width.
fn joined(sources: &str) -> String {
    let mut lines = sources.lines();
    let mut out = String::with_capacity(sources.len());
    while let Some(line) = lines.next() {
        let mut line = line.to_owned();
        while line.ends_with('\\') {
            line.pop();
            line.push_str(lines.next().map_or("", str::trim_start));
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}
