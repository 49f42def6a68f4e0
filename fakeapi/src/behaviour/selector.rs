//! Which clusters a rule is about.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::amount::Number;
use super::chance::Seed;
use super::limits::{LIST, TEXT_BYTES};
use super::validate::{Faults, Path};
use crate::register::ClusterName;

/// Which clusters a rule is about: those for which everything given here holds. Nothing given
/// means all clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selector {
    /// Their namespaces: any of these patterns, in which `*` is any text and `?` any letter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Their names: any of these patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Labels they all must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Of those, about so many of one: 0.1 is every tenth. The rule's seed says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Number>,
}

impl Selector {
    /// Whether a cluster is meant; `seed` is that of the rule and the cluster.
    pub fn selects(
        &self,
        name: &ClusterName,
        labels: &BTreeMap<String, String>,
        seed: Seed,
    ) -> bool {
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, text))
        };
        any(&self.namespaces, &name.namespace)
            && any(&self.names, &name.name)
            && self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.share.is_none_or(|share| seed.of("share").unit(0) < share.0)
    }

    pub(super) fn check(&self, at: &Path<'_>, faults: &mut Faults) {
        for (field, patterns) in [("namespaces", &self.namespaces), ("names", &self.names)] {
            check_texts(patterns, &at.field(field), faults);
        }
        let labels = at.field("matchLabels");
        faults.unless(self.match_labels.len() <= LIST, &labels, format!("has more than {LIST}"));
        for (key, value) in &self.match_labels {
            let fits = !key.is_empty() && key.len() <= TEXT_BYTES && value.len() <= TEXT_BYTES;
            faults.unless(fits, &labels, "has an empty key or a text that is too long");
        }
        check_share(self.share, &at.field("share"), faults);
    }
}

pub(super) fn check_texts(texts: &[String], at: &Path<'_>, faults: &mut Faults) {
    faults.unless(texts.len() <= LIST, at, format!("has more than {LIST} entries"));
    for (index, text) in texts.iter().enumerate() {
        let fits = (1..=TEXT_BYTES).contains(&text.len());
        faults.unless(fits, &at.item(index), format!("must have 1 to {TEXT_BYTES} bytes"));
    }
}

pub(super) fn check_share(share: Option<Number>, at: &Path<'_>, faults: &mut Faults) {
    let good = share.is_none_or(|share| (0.0..=1.0).contains(&share.0));
    faults.unless(good, at, "must be 0 to 1");
}

/// Whether a pattern with `*` and `?` matches the whole text.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` does not match: that star eats one more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, eaten)) => {
                    star = Some((at, eaten + 1));
                    p = at + 1;
                    t = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*-a*-b", "x-a-a-b-b", true),
            ("", "", true),
            ("", "a", false),
            ("é?", "éa", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn everything_given_must_hold() {
        let selector: Selector = serde_json::from_str(
            r#"{"namespaces":["team-*"],"names":["a","b*"],"matchLabels":{"tier":"gold"}}"#,
        )
        .unwrap();
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        let selects = |namespace: &str, name: &str, labels| {
            selector.selects(&ClusterName::new(namespace, name), labels, Seed::new(0))
        };
        assert!(selects("team-1", "a", &labels));
        assert!(selects("team-1", "b9", &labels));
        assert!(!selects("team-1", "c", &labels));
        assert!(!selects("other", "a", &labels));
        assert!(!selects("team-1", "a", &BTreeMap::new()));
    }

    #[test]
    fn a_share_is_about_so_many_and_the_same_ones_again() {
        let selector = Selector { share: Some(Number(0.1)), ..Selector::default() };
        let chosen = |seed: u64| -> Vec<u32> {
            let seed = Seed::new(seed);
            let selects = |n: &u32| {
                let name = ClusterName::new("ns", format!("c{n}"));
                selector.selects(&name, &BTreeMap::new(), seed.of(&name.to_string()))
            };
            (0..10_000).filter(selects).collect()
        };
        let first = chosen(7);
        assert!((900..1100).contains(&first.len()), "{}", first.len());
        assert_eq!(first, chosen(7));
        assert_ne!(first, chosen(8));
    }
}
