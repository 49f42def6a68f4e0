//! The names the program goes by. FKAS's image has two programs, `/fkas` and `/reconciler`, which
//! its manifests call without arguments: under those names this one program does what they do.
//!
//! They change defaults only: every flag and variable of `run` works here as well.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::Path;

use clap::{Arg, Command as ClapCommand, CommandFactory, FromArgMatches};

use super::Cli;
use crate::manage::ManagementCluster;

/// How long connections may take to end, in seconds: with what else takes time at the end it is
/// less than the 30 that Kubernetes gives a pod whose manifest does not say.
const DRAIN_SECONDS: &str = "15";

/// The control port on all addresses.
const CONTROL_ON_ALL: &str = "0.0.0.0:3333";

/// The same where IPv6 is spoken; IPv4's addresses are among them.
const CONTROL_ON_ALL_V6: &str = "[::]:3333";

/// Which program a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CalledAs {
    /// What the arguments say.
    Fakeapi,
    /// The server, as FKAS's image starts it.
    Fkas,
    /// The reconciler beside it.
    Reconciler,
}

impl CalledAs {
    fn of(program: &OsStr) -> Self {
        match Path::new(program).file_name().and_then(OsStr::to_str) {
            Some("fkas") => Self::Fkas,
            Some("reconciler") => Self::Reconciler,
            _ => Self::Fakeapi,
        }
    }

    /// The subcommand that the name says.
    fn subcommand(self) -> Option<&'static str> {
        match self {
            Self::Fakeapi => None,
            Self::Fkas => Some("run"),
            Self::Reconciler => Some("reconcile"),
        }
    }
}

/// What the environment says that FKAS's defaults depend on.
#[derive(Clone, Copy, Debug, Default)]
struct Surroundings {
    /// The address of all clusters (`POD_IP`).
    ip: Option<IpAddr>,
    /// Whether this process runs in a pod.
    in_cluster: bool,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let ip = std::env::var("POD_IP").ok().and_then(|ip| ip.parse().ok());
        Self { ip, in_cluster: ManagementCluster::is_around() }
    }
}

impl Cli {
    /// What this process was told: by its arguments, its environment, and the name it was called
    /// by. Says what is wrong with them and exits when something is.
    pub fn of_this_process() -> Self {
        let surroundings = Surroundings::of_this_process();
        read(std::env::args_os(), surroundings).unwrap_or_else(|error| error.exit())
    }
}

fn read(
    args: impl IntoIterator<Item = OsString>,
    surroundings: Surroundings,
) -> Result<Cli, clap::Error> {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let called_as = CalledAs::of(&program);
    let subcommand = called_as.subcommand().map(OsString::from);
    let command = match called_as {
        CalledAs::Fkas => with_defaults_of_fkas(surroundings),
        CalledAs::Reconciler => with_defaults_of_its_reconciler(),
        CalledAs::Fakeapi => Cli::command(),
    };
    let args = std::iter::once(program).chain(subcommand).chain(args);
    let matches = command.try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

/// The command line with what FKAS does where nothing else is said: it serves the control port on
/// all addresses, lets everybody do everything, reads Secrets by its service account, asks for no
/// privilege, and keeps nothing where it can write nothing.
fn with_defaults_of_fkas(surroundings: Surroundings) -> ClapCommand {
    let control = match surroundings.ip {
        Some(IpAddr::V6(_)) => CONTROL_ON_ALL_V6,
        _ => CONTROL_ON_ALL,
    };
    let yes = |arg: Arg| arg.default_value("true");
    Cli::command().mut_subcommand("run", |run| {
        run.mut_arg("control_address", |arg| arg.default_value(control))
            .mut_arg("kernel", |arg| arg.default_value("off"))
            .mut_arg("drain_seconds", |arg| arg.default_value(DRAIN_SECONDS))
            .mut_arg("anonymous_admin", yes)
            .mut_arg("data_optional", yes)
            .mut_arg("in_cluster", |arg| if surroundings.in_cluster { yes(arg) } else { arg })
    })
}

/// The command line with what FKAS's reconciler does: users register clusters, and there is one
/// reconciler for each server, so none leads. So it needs no right that FKAS's role does not give.
fn with_defaults_of_its_reconciler() -> ClapCommand {
    Cli::command().mut_subcommand("reconcile", |reconcile| {
        reconcile
            .mut_arg("reconcile_clusters", |arg| arg.default_value("never"))
            .mut_arg("reconcile_alone", |arg| arg.default_value("true"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{CONTROL_PORT, Kernel, RunOptions};
    use crate::cli::Command;
    use crate::manage::Register;

    fn options(line: &str, surroundings: Surroundings) -> RunOptions {
        let args = line.split(' ').map(OsString::from);
        match read(args, surroundings).unwrap().command {
            Command::Run(options) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_name_alone_is_fkas() {
        let surroundings = Surroundings { ip: None, in_cluster: true };
        for name in ["/fkas", "fkas", "/usr/bin/fkas"] {
            let options = options(name, surroundings);
            assert_eq!(options.control_address, "0.0.0.0:3333".parse().unwrap());
            assert!(options.anonymous_admin && options.in_cluster && options.data_optional);
            assert_eq!((options.kernel, options.drain_seconds), (Kernel::Off, 15));
        }
    }

    #[test]
    fn flags_go_before_fkas_own_defaults() {
        let surroundings = Surroundings { ip: "fd00::1".parse().ok(), in_cluster: true };
        let named = options(
            "/fkas --control-address 127.0.0.1:1 --kernel on --kubeconfig /x",
            surroundings,
        );
        assert_eq!(named.control_address, "127.0.0.1:1".parse().unwrap());
        assert_eq!(named.kernel, Kernel::On);
        assert!(named.kubeconfig.is_some());
        let unnamed = options("/fkas", surroundings);
        assert_eq!(unnamed.control_address, "[::]:3333".parse().unwrap());
    }

    #[test]
    fn outside_of_a_pod_no_management_cluster_is_asked() {
        assert!(!options("/fkas", Surroundings::default()).in_cluster);
    }

    #[test]
    fn the_program_itself_has_its_own_defaults() {
        let options = options("/fakeapi run", Surroundings { ip: None, in_cluster: true });
        assert_eq!(options.control_address, "127.0.0.1:3333".parse().unwrap());
        assert!(!options.anonymous_admin && !options.in_cluster && !options.data_optional);
        assert_eq!(options.kernel, Kernel::Auto);
    }

    #[test]
    fn the_control_port_is_that_of_the_contract() {
        for address in [CONTROL_ON_ALL, CONTROL_ON_ALL_V6] {
            let address: std::net::SocketAddr = address.parse().unwrap();
            assert!(address.ip().is_unspecified());
            assert_eq!(address.port(), CONTROL_PORT);
        }
    }

    #[test]
    fn names_say_subcommands() {
        for (name, subcommand) in [
            ("/reconciler", Some("reconcile")),
            ("reconciler", Some("reconcile")),
            ("/fkas", Some("run")),
            ("/fakeapi", None),
            ("target/debug/fakeapi", None),
            ("", None),
        ] {
            assert_eq!(CalledAs::of(OsStr::new(name)).subcommand(), subcommand, "{name}");
        }
    }

    #[test]
    fn the_changed_command_is_consistent() {
        with_defaults_of_fkas(Surroundings { ip: None, in_cluster: true }).debug_assert();
        with_defaults_of_its_reconciler().debug_assert();
    }

    #[test]
    fn as_fkas_reconciler_it_registers_nothing_and_needs_no_lease() {
        let read = |line: &str| {
            let args = line.split(' ').map(OsString::from);
            match read(args, Surroundings::default()).unwrap().command {
                Command::Reconcile(command) => command.options,
                other => panic!("{line}: {other:?}"),
            }
        };
        let plain = read("fakeapi reconcile");
        assert_eq!(plain.reconcile_clusters, Register::Metal3);
        assert!(!plain.reconcile_alone);
        let fkas = read("/reconciler");
        assert_eq!(fkas.reconcile_clusters, Register::Never);
        assert!(fkas.reconcile_alone);
        let told = read("/reconciler --reconcile-clusters any");
        assert_eq!(told.reconcile_clusters, Register::Any);
    }
}
