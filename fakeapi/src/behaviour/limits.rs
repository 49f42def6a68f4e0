//! The bounds of rules.

use std::time::Duration;

/// Rules at once. Each has series of its own among the metrics.
pub const RULES: usize = 256;
/// Bytes of a rule's name.
pub const NAME_BYTES: usize = 63;
/// Entries in any list of a rule: patterns, errors, verbs, resources.
pub const LIST: usize = 64;
/// Bytes of any text in a rule: a pattern, a message.
pub const TEXT_BYTES: usize = 1024;
/// The longest latency of one request.
pub const LATENCY_MAX: Duration = Duration::from_mins(10);
/// The longest of all other durations: a year.
pub const SPAN_MAX: Duration = Duration::from_hours(365 * 24);
/// The shortest time between two changes that a rule makes by itself.
pub const PERIOD_MIN: Duration = Duration::from_millis(100);
/// Things to be done later, at once: nodes that boot, nodes that flap, clusters that elect.
pub const DEADLINES: usize = 2_000_000;
/// Of those, how many are under way at once.
pub const AT_ONCE: usize = 64;
/// Labels of a cluster.
pub const LABELS: usize = 64;
