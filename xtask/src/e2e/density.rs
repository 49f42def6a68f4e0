//! `cargo xtask e2e density`: many clusters registered over HTTP, each asked at its own address.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::http::Connection;
use super::program::Program;
use super::random::Random;
use crate::tally::Tally;
use crate::workspace::{Profile, build_program, has, target};

/// How many connections register, and how many kubectl ask, at the same time.
const AT_ONCE: u32 = 2;

/// How many failures are told one by one.
const TOLD: usize = 10;

/// How many clusters, and how many of them are asked.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many clusters are registered
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    clusters: u32,
    /// How many of them, chosen at random, kubectl asks for their nodes
    #[arg(long, default_value_t = 200)]
    sample: u32,
    /// Use a program built without optimizations
    #[arg(long)]
    debug: bool,
}

/// Registers, activates, asks; prints rates and memory.
///
/// # Errors
/// When the program cannot be had or a registration fails.
pub(super) fn run(args: &Args) -> Result<Tally> {
    let program = build_program(Profile::of(args.debug))?;
    let folder = target().join("e2e/density");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let program = Program::start(&program, &folder)?;
    let control = program.control();
    let empty = program.resident_kib()?;
    let all: Vec<u32> = (0..args.clusters).collect();

    timed("registered", &all, |numbers| each(control, numbers, register))?;
    timed("activated with one node", &all, |numbers| each(control, numbers, activate))?;
    println!("{}", memory(args.clusters, empty, program.resident_kib()?));
    let mut tally = distinct_addresses(control, args.clusters)?;

    let sample = sample(args.clusters, args.sample);
    if has("kubectl") {
        let failures = ask_all(control, &folder, &sample)?;
        tally += Tally { passed: sample.len() - failures, failed: failures, skipped: 0 };
        println!("{}", memory(args.clusters, empty, program.resident_kib()?));
    } else {
        println!(
            "SKIP e2e density: kubectl is not on the path, {} clusters not asked",
            sample.len()
        );
        tally += Tally { skipped: sample.len(), ..Tally::default() };
    }
    program.stop()?;
    Ok(tally)
}

fn memory(clusters: u32, empty: u32, now: u32) -> String {
    let each = f64::from(now.saturating_sub(empty)) / f64::from(clusters);
    format!("resident: {} MiB, empty {} MiB, {each:.1} KiB a cluster", now / 1024, empty / 1024)
}

/// Runs `what` over shares of `numbers` at the same time, and tells how fast it was.
fn timed<F>(word: &str, numbers: &[u32], what: F) -> Result<()>
where
    F: Fn(&[u32]) -> Result<()> + Sync,
{
    let began = Instant::now();
    let share = numbers.len().div_ceil(AT_ONCE as usize).max(1);
    std::thread::scope(|scope| {
        let what = &what;
        let threads: Vec<_> =
            numbers.chunks(share).map(|share| scope.spawn(move || what(share))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
        })
    })?;
    let took = began.elapsed().as_secs_f64();
    let count = u32::try_from(numbers.len())?;
    println!("{count} {word} in {took:.1} s, {:.0} a second", f64::from(count) / took);
    Ok(())
}

fn each(
    control: SocketAddr,
    numbers: &[u32],
    what: fn(&mut Connection, u32) -> Result<()>,
) -> Result<()> {
    let mut http = Connection::open(control)?;
    numbers.iter().try_for_each(|number| {
        what(&mut http, *number).with_context(|| format!("cluster {}", name(*number)))
    })
}

fn name(number: u32) -> String {
    format!("cluster-{number:05}")
}

fn register(http: &mut Connection, number: u32) -> Result<()> {
    let body = format!(r#"{{"namespace":"density","cluster":"{}"}}"#, name(number));
    http.request("POST", "/register", &body).map(drop)
}

fn activate(http: &mut Connection, number: u32) -> Result<()> {
    let name = name(number);
    let body = format!(
        r#"{{"namespace":"density","cluster":"{name}","nodeName":"{name}-0","providerID":"fake:///{name}","labels":{{"cluster.x-k8s.io/control-plane":""}}}}"#
    );
    http.request("PUT", "/updateNode", &body).map(drop)
}

/// Whether every cluster was given another address: registering again tells which.
fn distinct_addresses(control: SocketAddr, clusters: u32) -> Result<Tally> {
    let mut http = Connection::open(control)?;
    let mut seen = HashSet::new();
    for number in 0..clusters {
        let body = format!(r#"{{"namespace":"density","cluster":"{}"}}"#, name(number));
        let answer: serde_json::Value =
            serde_json::from_str(&http.request("POST", "/register", &body)?)?;
        seen.insert(format!("{}:{}", answer["Host"], answer["Port"]));
    }
    let distinct = seen.len() == clusters as usize;
    let word = if distinct { "ok  " } else { "FAIL" };
    println!("{word} {clusters} clusters have {} addresses", seen.len());
    Ok(Tally::one(distinct))
}

/// Different numbers below `clusters`, in random order: Floyd's way, so that a small sample of
/// many needs no list of all.
fn sample(clusters: u32, size: u32) -> Vec<u32> {
    let mut random = Random::seeded(Random::seed());
    let mut chosen = HashSet::new();
    let mut sample = Vec::new();
    for top in clusters.saturating_sub(size)..clusters {
        let number = random.below(top + 1);
        let number = if chosen.insert(number) { number } else { top };
        chosen.insert(number);
        sample.push(number);
    }
    sample
}

/// Lets kubectl ask every cluster of the sample; how many answered wrong.
fn ask_all(control: SocketAddr, folder: &Path, sample: &[u32]) -> Result<usize> {
    let failures = AtomicU32::new(0);
    timed("asked by kubectl", sample, |numbers| {
        let mut http = Connection::open(control)?;
        for number in numbers {
            if let Err(error) = ask(&mut http, folder, *number) {
                let before = failures.fetch_add(1, Ordering::Relaxed) as usize;
                if before < TOLD {
                    println!("FAIL {}: {error:#}", name(*number));
                }
            }
        }
        Ok(())
    })?;
    Ok(failures.into_inner() as usize)
}

/// Asks one cluster for its nodes at the address in its own kubeconfig.
fn ask(http: &mut Connection, folder: &Path, number: u32) -> Result<()> {
    let name = name(number);
    let kubeconfig = folder.join(format!("{name}.kubeconfig"));
    let text = http.request("GET", &format!("/kubeconfig?resource=density/{name}"), "")?;
    fs::write(&kubeconfig, text)?;
    let output = Command::new("kubectl")
        .args(["get", "nodes", "--output", "name", "--request-timeout", "30s"])
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .arg("--cache-dir")
        .arg(folder.join("cache").join(&name))
        .output()
        .context("kubectl could not be run")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl ended with {}: {}", output.status, stderr.trim());
    let stdout = String::from_utf8_lossy(&output.stdout);
    let expected = format!("node/{name}-0");
    ensure!(stdout.trim() == expected, "kubectl printed {stdout:?}, expected {expected}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_different_clusters_and_no_more_than_there_are() {
        for (clusters, size, expected) in
            [(10, 3, 3), (10, 10, 10), (10, 99, 10), (60_000, 200, 200)]
        {
            let sample = sample(clusters, size);
            assert_eq!(sample.len(), expected);
            assert!(sample.iter().all(|number| *number < clusters));
            assert_eq!(sample.iter().collect::<HashSet<_>>().len(), expected);
        }
    }
}
