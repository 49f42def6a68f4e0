//! How long something is made to take.

use std::f64::consts::TAU;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::{Number, Span};
use super::chance::Seed;
use super::limits::LATENCY_MAX;
use super::requests::Requests;
use super::validate::{Faults, Path};

/// How latencies are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// Always `mean`.
    #[default]
    Constant,
    /// Evenly between `min` and `max`.
    Uniform,
    /// Normal around `mean` with the standard deviation `deviation`; below zero is zero.
    Normal,
    /// Exponential with `mean`: the time to the next of events that come at random.
    Exponential,
    /// Pareto from `min` with the exponent `alpha`: mostly short, now and then very long.
    Pareto,
}

/// A latency that is added. Which fields go with which distribution is told at [`Shape`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Latency {
    /// Which requests take longer; all when absent. Of the API server only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// The distribution; `constant` when absent.
    #[serde(default)]
    pub distribution: Shape,
    /// The mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Span>,
    /// The standard deviation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<Span>,
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Span>,
    /// The most: of `uniform`, and what cuts the others off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
    /// Pareto's exponent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Number>,
}

impl Latency {
    /// The latency that a seed gives.
    pub fn draw(&self, seed: Seed) -> Duration {
        let seconds = |span: Option<Span>| span.unwrap_or_default().seconds();
        let mean = seconds(self.mean);
        // In (0, 1], so that its logarithm is finite.
        let rare = 1.0 - seed.unit(0);
        let drawn = match self.distribution {
            Shape::Constant => mean,
            Shape::Uniform => {
                let (min, max) = (seconds(self.min), seconds(self.max));
                min + (max - min) * seed.unit(0)
            }
            Shape::Normal => {
                // Box and Muller's transform.
                let radius = (-2.0 * rare.ln()).sqrt();
                mean + seconds(self.deviation) * radius * (TAU * seed.unit(1)).cos()
            }
            Shape::Exponential => -mean * rare.ln(),
            Shape::Pareto => {
                let alpha = self.alpha.map_or(1.0, |alpha| alpha.0);
                seconds(self.min) * rare.powf(-1.0 / alpha)
            }
        };
        let most = self.max.map_or(LATENCY_MAX, |max| max.0.min(LATENCY_MAX));
        let least = self.min.map_or(0.0, Span::seconds);
        Duration::from_secs_f64(drawn.max(least).min(most.as_secs_f64()))
    }

    pub(super) fn check(&self, at: &Path<'_>, faults: &mut Faults) {
        if let Some(requests) = &self.requests {
            requests.check(&at.field("requests"), faults);
        }
        let spans = [
            ("mean", self.mean),
            ("deviation", self.deviation),
            ("min", self.min),
            ("max", self.max),
        ];
        for (field, span) in spans {
            if span.is_some_and(|span| span.0 > LATENCY_MAX) {
                faults.add(&at.field(field), format!("may be {} at the most", Span(LATENCY_MAX)));
            }
        }
        let (required, allowed): (&[&str], &[&str]) = match self.distribution {
            Shape::Constant => (&["mean"], &["mean"]),
            Shape::Uniform => (&["max"], &["min", "max"]),
            Shape::Normal => (&["mean", "deviation"], &["mean", "deviation", "min", "max"]),
            Shape::Exponential => (&["mean"], &["mean", "min", "max"]),
            Shape::Pareto => (&["min", "alpha"], &["min", "alpha", "max"]),
        };
        let alpha = ("alpha", self.alpha.is_some());
        let given = spans.iter().map(|(field, span)| (*field, span.is_some())).chain([alpha]);
        for (field, given) in given {
            if given && !allowed.contains(&field) {
                faults.add(&at.field(field), "does not go with this distribution");
            }
            if !given && required.contains(&field) {
                faults.add(&at.field(field), "is required by this distribution");
            }
        }
        if self.alpha.is_some_and(|alpha| !(0.1..=100.0).contains(&alpha.0)) {
            faults.add(&at.field("alpha"), "must be 0.1 to 100");
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            faults.add(&at.field("max"), "is less than min");
        }
    }
}
