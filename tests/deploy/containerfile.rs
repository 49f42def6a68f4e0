//! The image's recipe: what it copies is there, and is enough for Cargo.

use std::fs;

use anyhow::{Context, Result};

use super::root;

/// What `COPY` takes from the context.
fn copied() -> Result<Vec<String>> {
    let text = fs::read_to_string(root().join("deploy/Containerfile"))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("COPY "));
    let mut sources = Vec::new();
    for line in lines.filter(|line| !line.starts_with("--from")) {
        let (from, _to) = line.rsplit_once(' ').context("COPY without a target")?;
        sources.extend(from.split(' ').map(str::to_owned));
    }
    Ok(sources)
}

#[test]
fn copies_what_is_there() {
    let sources = copied().unwrap();
    assert!(sources.len() > 5, "{sources:?}");
    for source in sources {
        assert!(root().join(&source).exists(), "COPY {source}");
    }
}

#[test]
fn copies_every_member_of_the_workspace() {
    let sources = copied().unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("\nmembers = [").unwrap();
    let (members, _) = rest.split_once(']').unwrap();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.contains(&"fakeapi"), "{members:?}");
    for member in members {
        let covers =
            |source: &String| member == source || member.starts_with(&format!("{source}/"));
        assert!(sources.iter().any(covers), "no COPY covers {member}");
    }
}
