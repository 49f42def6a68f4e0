//! Clusters whose program is killed while they grow.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::crowd::{all_gone, all_settled, delete_all, manifests};
use super::report::Report;
use super::stage::Stage;
use super::subject::Size;
use super::wait::until;
use crate::e2e::random::Random;

/// How many clusters.
const COUNT: u32 = 3;

/// The longest time between two kills, in milliseconds.
const BETWEEN: u32 = 8_000;

/// How many kills follow each other without waiting until all is well: the next size comes then.
const IN_A_ROW: u32 = 3;

/// How long everything may take to be well again after the last kill: controllers look for a
/// cluster that was away every thirty seconds.
const PATIENCE: Duration = Duration::from_mins(8);

/// Control planes that the clusters are to have, one after the other, as long as there are kills
/// left.
const SIZES: [u32; 4] = [1, 3, 5, 3];

/// Runs it with so many kills at moments that `seed` decides.
pub(super) fn run(mut stage: Stage, kills: u32, seed: u64) -> Report {
    let mut report = Report::new(stage.name);
    println!("     {}: --seed {seed} gives the same moments again", stage.name);
    let mut random = Random::seeded(seed);
    let mut size =
        Size { version: "v1.36.3", workers_version: "v1.36.3", control_planes: 1, workers: 1 };
    report.step(
        &format!("{COUNT} clusters grow while the program is killed {kills} times"),
        || {
            stage.kubectl.apply(manifests(&stage, COUNT, size)?.as_bytes())?;
            let mut next = SIZES.into_iter().cycle().skip(1);
            let mut settled_after = Vec::new();
            for number in 1..=kills {
                std::thread::sleep(Duration::from_millis(u64::from(random.below(BETWEEN))));
                stage.program.kill_and_restart().with_context(|| format!("kill {number}"))?;
                let in_row = number - settled_after.last().copied().unwrap_or_default();
                let wait = if in_row < IN_A_ROW { Duration::ZERO } else { PATIENCE };
                let settled = until(wait, || all_settled(&stage, COUNT, size));
                if in_row == IN_A_ROW {
                    settled.with_context(|| format!("after kill {number}"))?;
                } else if settled.is_err() {
                    continue;
                }
                settled_after.push(number);
                size.control_planes = next.next().context("a cycle ends")?;
                scale(&stage, size)?;
            }
            println!("     {}: all were well after kills {settled_after:?}", stage.name);
            Ok(())
        },
    );
    report.step("every cluster reaches its size and is Available", || {
        until(PATIENCE, || all_settled(&stage, COUNT, size))?;
        let registered = stage.registered()?.len();
        ensure!(registered == COUNT as usize, "{registered} are registered");
        Ok(())
    });
    report.step("deleted while the program is killed once more, they leave nothing", || {
        delete_all(&stage, COUNT)?;
        std::thread::sleep(Duration::from_millis(u64::from(random.below(BETWEEN))));
        stage.program.kill_and_restart()?;
        until(PATIENCE, || all_gone(&stage, COUNT))
    });
    report.step("the program serves nothing any more, also after a restart", || {
        stage.empty()?;
        stage.program.kill_and_restart()?;
        stage.empty()
    });
    stage.end(report)
}

fn scale(stage: &Stage, size: Size) -> Result<()> {
    for number in 0..COUNT {
        let mut subject = stage.subject(&format!("c{number:03}"));
        subject.patch_control_plane(&json!({"spec": {"replicas": size.control_planes}}))?;
    }
    Ok(())
}
