//! `behaviour`: rules of behaviour come and go.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::error::CliError;
use super::execute::read;
use super::output::Screen;
use crate::behaviour::{Number, Report, Rule, Span};
use crate::client::Client;

/// `behaviour`.
#[derive(Clone, Debug, Subcommand)]
pub enum BehaviourCommand {
    /// Adds or replaces the rules in a file (YAML or JSON; many documents, or a list under
    /// `behaviours`, as in the file of `run --config`).
    Apply {
        /// The file, `-` for standard input.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },

    /// Adds or replaces a rule of what is said here. Files can say more.
    Set(Box<SetArgs>),

    /// Lists the rules.
    List,

    /// Prints a rule and what it does.
    Show {
        /// The rule.
        #[arg(value_name = "RULE")]
        name: String,
    },

    /// Removes a rule; what it did is undone.
    Delete {
        /// The rule.
        #[arg(value_name = "RULE")]
        name: String,
    },
}

/// `behaviour set`.
#[derive(Clone, Debug, Default, Args)]
pub struct SetArgs {
    /// The rule.
    #[arg(value_name = "RULE")]
    pub name: String,

    /// Clusters in namespaces that match; may be given many times.
    #[arg(long = "namespace", value_name = "PATTERN")]
    pub namespaces: Vec<String>,

    /// Clusters whose names match; may be given many times.
    #[arg(long = "cluster", value_name = "PATTERN")]
    pub clusters: Vec<String>,

    /// Clusters with this label; may be given many times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = super::args::parse_label)]
    pub labels: Vec<(String, String)>,

    /// Of those, about so many of one.
    #[arg(long, value_name = "0-1")]
    pub share: Option<Number>,

    /// What chance follows from.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,

    /// How long the rule holds.
    #[arg(long, value_name = "DURATION")]
    pub expire_after: Option<Span>,

    /// Requests take so much longer.
    #[arg(long, value_name = "DURATION")]
    pub latency: Option<Span>,

    /// Latencies are normally distributed with this standard deviation.
    #[arg(long, value_name = "DURATION", requires = "latency")]
    pub latency_deviation: Option<Span>,

    /// Calls to etcd take so much longer.
    #[arg(long, value_name = "DURATION")]
    pub etcd_latency: Option<Span>,

    /// So many requests of one are refused.
    #[arg(long, value_name = "0-1")]
    pub error_rate: Option<Number>,

    /// The code they are refused with.
    #[arg(long, default_value_t = 500, value_name = "CODE", requires = "error_rate")]
    pub error_code: u16,

    /// Only requests with this verb; may be given many times.
    #[arg(long = "error-verb", value_name = "VERB", requires = "error_rate")]
    pub error_verbs: Vec<String>,

    /// Only requests for this resource; may be given many times.
    #[arg(long = "error-resource", value_name = "RESOURCE", requires = "error_rate")]
    pub error_resources: Vec<String>,

    /// Clusters are out of service.
    #[arg(long, value_enum)]
    pub outage: Option<OutageArg>,

    /// How long they are.
    #[arg(long = "for", value_name = "DURATION", requires = "outage")]
    pub outage_for: Option<Span>,

    /// Serving certificates end so long from now.
    #[arg(long, value_name = "DURATION")]
    pub certificates_expire_after: Option<Span>,

    /// New nodes take so long to boot.
    #[arg(long, value_name = "DURATION")]
    pub boot: Option<Span>,

    /// And up to so many of one of that longer.
    #[arg(long, value_name = "N", requires = "boot")]
    pub boot_jitter: Option<Number>,

    /// Nodes are well for so long in turn.
    #[arg(long, value_name = "DURATION", requires = "flap_down")]
    pub flap_up: Option<Span>,

    /// And unwell for so long.
    #[arg(long, value_name = "DURATION", requires = "flap_up")]
    pub flap_down: Option<Span>,

    /// So many nodes of one do.
    #[arg(long, value_name = "0-1", requires = "flap_up")]
    pub flap_share: Option<Number>,

    /// The leader of etcd is lost each time this has passed.
    #[arg(long, value_name = "DURATION")]
    pub leader_loss_every: Option<Span>,
}

/// How an outage looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutageArg {
    /// Connections are reset as soon as they are made.
    Refuse,
    /// Connections stand still.
    Hang,
    /// Connections are reset at their first bytes.
    Reset,
    /// TLS handshakes fail.
    TlsFailure,
    /// Requests are answered 503.
    Unavailable,
}

impl OutageArg {
    fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::TlsFailure => "tlsFailure",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Asks what the command says and shows the answer.
pub(super) async fn execute<W: Write>(
    client: &Client,
    command: BehaviourCommand,
    screen: &mut Screen<W>,
) -> Result<(), CliError> {
    match command {
        BehaviourCommand::Apply { file } => {
            for rule in rules(&file)? {
                let name = rule["name"].as_str().ok_or(CliError::Arguments("a rule has a name"))?;
                client.put_behaviour(name, &rule).await?;
                screen.done("behaviour", name, "applied")?;
            }
            Ok(())
        }
        BehaviourCommand::Set(args) => {
            let report = client.put_behaviour(&args.name, &args.rule()).await?;
            screen.done("behaviour", &report.rule.name, "applied")
        }
        BehaviourCommand::List => list(&client.behaviours().await?, screen),
        BehaviourCommand::Show { name } => screen.document(&client.behaviour(&name).await?),
        BehaviourCommand::Delete { name } => {
            client.remove_behaviour(&name).await?;
            screen.done("behaviour", &name, "deleted")
        }
    }
}

/// The rules in a file.
fn rules(path: &Path) -> Result<Vec<Value>, CliError> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
            .map_err(|source| CliError::File { path: path.to_owned(), source })?
    } else {
        read(path)?
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(CliError::FileYaml)?;
    let several = |document: Value| match document {
        Value::Array(rules) => rules,
        Value::Object(mut config) if config.contains_key("behaviours") => {
            match config.remove("behaviours") {
                Some(Value::Array(rules)) => rules,
                other => other.into_iter().collect(),
            }
        }
        rule => vec![rule],
    };
    Ok(documents.into_iter().filter(|document| !document.is_null()).flat_map(several).collect())
}

impl SetArgs {
    /// The rule that the arguments say.
    fn rule(&self) -> Value {
        let latency = self.latency.map(|mean| match self.latency_deviation {
            Some(deviation) => {
                json!({"distribution": "normal", "mean": mean, "deviation": deviation})
            }
            None => json!({ "mean": mean }),
        });
        let error = self.error_rate.map(|rate| {
            json!({
                "rate": rate,
                "code": self.error_code,
                "requests": {"verbs": self.error_verbs, "resources": self.error_resources},
            })
        });
        let outage = self.outage.map(|kind| json!({"kind": kind.name(), "for": self.outage_for}));
        let end = self.certificates_expire_after.map(|end| json!({ "expireAfter": end }));
        let boot = self
            .boot
            .map(|boot| json!({"startupDuration": boot, "startupJitter": self.boot_jitter}));
        let flapping = self
            .flap_up
            .map(|up| json!({"upFor": up, "downFor": self.flap_down, "share": self.flap_share}));
        let labels: serde_json::Map<String, Value> =
            self.labels.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
        let errors: Vec<Value> = error.into_iter().collect();
        json!({
            "name": self.name,
            "seed": self.seed,
            "expireAfter": self.expire_after,
            "selector": {
                "namespaces": self.namespaces,
                "names": self.clusters,
                "matchLabels": labels,
                "share": self.share,
            },
            "apiServer": {
                "latency": latency, "errors": errors, "outage": outage, "certificate": end,
            },
            "etcd": {
                "latency": self.etcd_latency.map(|mean| json!({ "mean": mean })),
                "leaderLoss": self.leader_loss_every.map(|every| json!({ "every": every })),
            },
            "node": {"provisioning": boot, "flapping": flapping},
        })
    }
}

fn list<W: Write>(reports: &[Report], screen: &mut Screen<W>) -> Result<(), CliError> {
    let row = |report: &Report| {
        let effects = report.status.effects.iter().map(|(what, count)| format!("{what}={count}"));
        let effects: Vec<String> = effects.collect();
        let expires = report.status.expires.map(|at| at.to_string()).unwrap_or_default();
        [
            report.rule.name.clone(),
            report.status.clusters.to_string(),
            kinds(&report.rule).join(","),
            effects.join(","),
            expires,
        ]
    };
    let rows: Vec<_> = reports.iter().map(row).collect();
    let header = ["NAME", "CLUSTERS", "RULES", "EFFECTS", "EXPIRES"];
    screen.list(&json!({ "behaviours": reports }), header, &rows)
}

/// What a rule is about, in words.
fn kinds(rule: &Rule) -> Vec<&'static str> {
    let (api, etcd, node) = (&rule.api_server, &rule.etcd, &rule.node);
    [
        (api.latency.is_some(), "latency"),
        (!api.errors.is_empty(), "errors"),
        (api.outage.is_some(), "outage"),
        (api.certificate.is_some(), "certificate"),
        (etcd.latency.is_some(), "etcd-latency"),
        (etcd.error_rate.is_some(), "etcd-errors"),
        (etcd.leader_loss.is_some(), "leader-loss"),
        (node.provisioning.is_some(), "boot"),
        (node.flapping.is_some(), "flapping"),
    ]
    .into_iter()
    .filter_map(|(there, kind)| there.then_some(kind))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, ControlCommand};

    fn rule_of(line: &str) -> Rule {
        let words = std::iter::once("fakeapi").chain(line.split(' '));
        let Command::Control(ControlCommand::Behaviour(BehaviourCommand::Set(args))) =
            Cli::try_parse_from(words).unwrap().command
        else {
            panic!("{line} sets nothing");
        };
        Rule::read(args.rule()).unwrap()
    }

    #[test]
    fn every_flag_is_a_field() {
        let all = rule_of(
            "behaviour set all --namespace a* --cluster b* --label k=v --share 0.5 --seed 7 \
             --expire-after 1h --latency 50ms --latency-deviation 5ms --etcd-latency 2ms \
             --error-rate 0.1 --error-code 503 --error-verb list --error-resource nodes \
             --outage tls-failure --for 2m --certificates-expire-after 0s --boot 30s \
             --boot-jitter 0.2 --flap-up 5m --flap-down 1m --flap-share 0.1 \
             --leader-loss-every 1m",
        );
        let expected = json!({
            "name": "all", "seed": 7, "expireAfter": "1h",
            "selector": {"namespaces": ["a*"], "names": ["b*"], "matchLabels": {"k": "v"},
                         "share": 0.5},
            "apiServer": {
                "latency": {"distribution": "normal", "mean": "50ms", "deviation": "5ms"},
                "errors": [{"rate": 0.1, "code": 503,
                            "requests": {"verbs": ["list"], "resources": ["nodes"]}}],
                "outage": {"kind": "tlsFailure", "for": "2m"},
                "certificate": {"expireAfter": "0s"},
            },
            "etcd": {"latency": {"mean": "2ms"}, "leaderLoss": {"every": "1m"}},
            "node": {"provisioning": {"startupDuration": "30s", "startupJitter": 0.2},
                     "flapping": {"upFor": "5m", "downFor": "1m", "share": 0.1}},
        });
        assert_eq!(all, Rule::read(expected).unwrap());
        assert_eq!(rule_of("behaviour set none"), Rule { name: "none".into(), ..Rule::default() });
    }

    #[test]
    fn a_file_may_hold_one_rule_many_documents_or_a_list() {
        for text in [
            "name: a\n---\nname: b\n",
            "behaviours:\n- name: a\n- name: b\n",
            "[{\"name\":\"a\"},{\"name\":\"b\"}]",
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(rules(file.path()).unwrap(), [json!({"name":"a"}), json!({"name":"b"})]);
        }
    }
}
