//! The manifests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use fakeapi_tests::Program;
use serde_json::Value;

use super::{documents, have_kubectl, kubectl, kustomizations, rendered, root};

/// The labels that every object has.
const LABELS: [&str; 4] = ["name", "instance", "part-of", "managed-by"];

/// What the control port and the rest may take beside the drain (`app::CONTROL_DRAIN`).
const BESIDE_THE_DRAIN: u64 = 10;

fn files(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn every_file_parses_and_says_what_it_is() {
    let mut found = Vec::new();
    files(&root().join("deploy"), &mut found).unwrap();
    assert!(found.len() >= 9, "{found:?}");
    for path in found {
        for object in documents(&fs::read_to_string(&path).unwrap()).unwrap() {
            assert!(object["apiVersion"].is_string(), "{}", path.display());
            assert!(object["kind"].is_string(), "{}", path.display());
            let name = object["metadata"]["name"].is_string();
            assert!(name || object["kind"] == "Kustomization", "{}", path.display());
        }
    }
}

fn check_labels(object: &Value) -> Result<()> {
    let labelled = |metadata: &Value| {
        LABELS
            .iter()
            .all(|label| metadata["labels"][format!("app.kubernetes.io/{label}")].is_string())
    };
    ensure!(labelled(&object["metadata"]), "{object}");
    let template = &object["spec"]["template"]["metadata"];
    if template.is_object() {
        ensure!(labelled(template), "{object}");
        let selector = object["spec"]["selector"]["matchLabels"].as_object();
        for (key, value) in selector.into_iter().flatten() {
            ensure!(template["labels"][key] == *value, "{key} of {object}");
        }
    }
    Ok(())
}

#[test]
fn every_object_has_the_labels() {
    if !have_kubectl("every_object_has_the_labels") {
        return;
    }
    for directory in kustomizations().unwrap() {
        let objects = rendered(&directory).unwrap();
        assert!(objects.len() >= 4, "{}", directory.display());
        objects.iter().try_for_each(check_labels).unwrap();
    }
}

/// The pods that a set of objects asks for, each with the data of the `ConfigMap`s.
fn pods(objects: &[Value]) -> Vec<(&Value, &Value)> {
    let settings = |pod: &Value| {
        let name = &pod["containers"][0]["envFrom"][0]["configMapRef"]["name"];
        let named =
            |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == *name;
        objects.iter().find(named).map_or(&Value::Null, |map| &map["data"])
    };
    let specs = objects.iter().map(|object| &object["spec"]["template"]["spec"]);
    specs.filter(|spec| spec.is_object()).map(|spec| (spec, settings(spec))).collect()
}

/// The variables that a pod gives to the program, and their values where the manifest has them.
fn environment(pod: &Value, settings: &Value) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let containers = pod["containers"].as_array().into_iter().flatten();
    let own = containers.filter_map(|container| container["env"].as_array()).flatten();
    let own = own.map(|env| (text(&env["name"]).unwrap(), text(&env["value"])));
    let shared = settings.as_object().into_iter().flatten();
    own.chain(shared.map(|(name, value)| (name.clone(), text(value)))).collect()
}

/// Every variable that `fakeapi run --help` names.
fn known_variables() -> Result<BTreeSet<String>> {
    let help = Command::new(fakeapi_tests::binary::path()?).args(["run", "--help"]).output()?;
    let help = String::from_utf8(help.stdout)?;
    let named = help.split("[env: ").skip(1).filter_map(|rest| rest.split_once('='));
    Ok(named.map(|(name, _)| name.to_owned()).collect())
}

#[test]
fn every_variable_is_one_that_the_program_reads() {
    if !have_kubectl("every_variable_is_one_that_the_program_reads") {
        return;
    }
    let known = known_variables().unwrap();
    assert!(known.contains("FAKEAPI_POOLS"), "{known:?}");
    for directory in kustomizations().unwrap() {
        let objects = rendered(&directory).unwrap();
        for (pod, settings) in pods(&objects) {
            // HOST_IP is for the manifest itself, the others are read by the logger.
            let others = ["HOST_IP", "NO_COLOR", "RUST_LOG", "DEBUG"];
            for (name, _) in environment(pod, settings) {
                let is_known = known.contains(&name) || others.contains(&name.as_str());
                assert!(is_known, "{name} in {}", directory.display());
            }
        }
    }
}

#[test]
fn pods_are_given_longer_than_the_drain_takes() {
    if !have_kubectl("pods_are_given_longer_than_the_drain_takes") {
        return;
    }
    for directory in kustomizations().unwrap() {
        let objects = rendered(&directory).unwrap();
        for (pod, settings) in pods(&objects) {
            let environment = environment(pod, settings);
            let drain = environment.iter().find(|(name, _)| name == "FAKEAPI_DRAIN_SECONDS");
            let drain: u64 = drain.unwrap().1.as_deref().unwrap().parse().unwrap();
            let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
            assert!(grace > drain + BESIDE_THE_DRAIN, "{}", directory.display());
        }
    }
}

/// A kubeconfig of a new cluster of this program.
async fn kubeconfig(program: &Program, cluster: &str) -> String {
    program.control().register(cluster).await.unwrap();
    let text = program.control().kubeconfig(cluster).await.unwrap();
    let path = program.setup().home().join(format!("{cluster}.kubeconfig"));
    fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_cluster_takes_them_without_a_warning() {
    if !have_kubectl("a_cluster_takes_them_without_a_warning") {
        return;
    }
    let program = Program::start(&[]).await.unwrap();
    for directory in kustomizations().unwrap() {
        // A cluster each: what is of no namespace has the same names in some of them. But a second
        // instance goes beside the first, into its namespace.
        let name = directory.file_name().unwrap().to_string_lossy();
        let cluster = if name == "second-node" { "base".into() } else { name };
        let kubeconfig = kubeconfig(&program, &cluster).await;
        let count = rendered(&directory).unwrap().len();
        let path = directory.to_string_lossy();
        for verb in [" created", " unchanged"] {
            let output = kubectl(&["--kubeconfig", &kubeconfig, "apply", "-k", &path]).unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let complained = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && complained.is_empty(), "{path}: {complained}");
            let all = said.lines().filter(|line| line.ends_with(verb)).count();
            assert_eq!(all, count, "{path}: {said}");
        }
    }
}

#[tokio::test]
async fn a_cluster_refuses_what_is_misspelt() {
    if !have_kubectl("a_cluster_refuses_what_is_misspelt") {
        return;
    }
    let program = Program::start(&[]).await.unwrap();
    let kubeconfig = kubeconfig(&program, "site").await;
    let mut objects = rendered(&root().join("deploy/base")).unwrap();
    let daemons = objects.iter_mut().find(|object| object["kind"] == "DaemonSet").unwrap();
    daemons["metadata"]["namespace"] = "default".into();
    daemons["spec"]["template"]["spec"]["hostNetwrok"] = true.into();
    let path = program.setup().home().join("misspelt.json");
    fs::write(&path, daemons.to_string()).unwrap();
    let path = path.to_string_lossy();
    let output = kubectl(&["--kubeconfig", &kubeconfig, "apply", "-f", &path]).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{complained}");
    assert!(
        complained.contains("unknown field \"spec.template.spec.hostNetwrok\""),
        "{complained}"
    );
}
