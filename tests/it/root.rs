//! What needs root: the kernel side, and addresses that come and go on links.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use fakeapi::datapath::Datapath;
use fakeapi_tests::{Program, Setup, binary};
use futures::TryStreamExt;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};

use crate::registration::ports_are_given_and_a_used_one_is_passed_over;

/// Says that a test cannot run.
///
/// # Panics
/// Where everything must run.
fn skip(name: &str, why: &str) {
    assert!(std::env::var_os("FAKEAPI_NO_SKIP").is_none(), "{name} cannot run: {why}");
    println!("SKIP {name}: {why}");
}

/// Runs a test in a network namespace of its own, whose loopback link is up. Programs that it
/// starts are in it too.
fn in_namespace<F>(name: &'static str, kernel: bool, test: F)
where
    F: AsyncFnOnce(Setup) + Send + 'static,
{
    if !nix::unistd::geteuid().is_root() {
        return skip(name, "it needs root");
    }
    if kernel && let Err(lack) = Datapath::probe().steer {
        return skip(name, &lack.to_string());
    }
    binary::path().unwrap();
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            loopback_up().await;
            let setup = Setup::new().unwrap();
            test(if kernel { setup.with_kernel() } else { setup }).await;
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

async fn loopback_up() {
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    let mut links = handle.link().get().match_name("lo".to_owned()).execute();
    let lo = links.try_next().await.unwrap().unwrap();
    handle
        .link()
        .set(rtnetlink::LinkUnspec::new_with_index(lo.header.index).up().build())
        .execute()
        .await
        .unwrap();
}

/// Whether connections to an address arrive anywhere in this namespace.
fn arrives(at: SocketAddr) -> bool {
    TcpStream::connect_timeout(&at, Duration::from_millis(300)).is_ok()
}

/// What `ip` says of addresses or routes; `None` where there is no such command.
fn shown(args: &[&str]) -> Option<String> {
    let output = Command::new("ip").args(args).output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

async fn serves(program: &Program, cluster: &str) -> bool {
    let session = program.access(cluster).await.unwrap().connect().await.unwrap();
    session.get("/readyz").await.unwrap().status == 200
}

#[test]
fn the_kernel_steers_to_the_cluster_and_away_when_it_is_gone() {
    in_namespace(
        "the_kernel_steers_to_the_cluster_and_away_when_it_is_gone",
        true,
        async |setup| {
            let program = setup.args(["--workers", "3"]).start().await.unwrap();
            let control = program.control();
            let mut all = Vec::new();
            for number in 0..12 {
                all.push(control.register(&format!("c{number}")).await.unwrap());
            }
            for number in 0..12 {
                assert!(serves(&program, &format!("c{number}")).await, "c{number}");
            }
            control.unregister("c3").await.unwrap();
            assert!(!arrives(all[3]));
            assert!(serves(&program, "c4").await);
            let program = program.kill().unwrap().start().await.unwrap();
            assert!(serves(&program, "c4").await);
            assert!(!arrives(all[3]));
        },
    );
}

#[test]
fn ports_with_the_kernel() {
    in_namespace("ports_with_the_kernel", true, async |setup| {
        ports_are_given_and_a_used_one_is_passed_over(setup).await;
    });
}

#[test]
fn addresses_of_a_link_go_at_the_end_and_are_adopted_after_a_kill() {
    let name = "addresses_of_a_link_go_at_the_end_and_are_adopted_after_a_kill";
    in_namespace(name, false, async |setup| {
        let args = ["--mode", "secondary", "--pool", "10.99.0.0/24"];
        let program = match setup.without_pool().args(args).start().await {
            Ok(program) => program,
            Err(error) if error.to_string().contains("dummy") => {
                return skip(name, &error.to_string());
            }
            Err(error) => panic!("{error}"),
        };
        let at = program.control().register("c").await.unwrap();
        assert!(serves(&program, "c").await);
        let before = shown(&["-brief", "address"]);
        let mut program = program.kill().unwrap().start().await.unwrap();
        assert!(serves(&program, "c").await);
        assert_eq!(shown(&["-brief", "address"]), before);
        let second = program.control().register("d").await.unwrap();
        program.control().unregister("d").await.unwrap();
        assert!(!arrives(second));
        let status = program.terminate().await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", program.log());
        assert!(!arrives(at));
        let after = shown(&["-brief", "address"]).unwrap_or_default();
        assert!(!after.contains("10.99.0."), "{after}");
    });
}

#[test]
fn the_route_of_a_pool_goes_at_the_end_unless_it_is_to_stay() {
    let name = "the_route_of_a_pool_goes_at_the_end_unless_it_is_to_stay";
    in_namespace(name, false, async |setup| {
        let routes = || shown(&["route", "show", "table", "local"]);
        let before = routes();
        let setup = setup.without_pool().args(["--mode", "prefix", "--pool", "10.98.0.0/16"]);
        let mut program = setup.start().await.unwrap();
        program.control().register("c").await.unwrap();
        assert!(serves(&program, "c").await);
        if let Some(routes) = routes() {
            assert!(routes.contains("10.98.0.0/16"), "{routes}");
        }
        assert_eq!(program.terminate().await.unwrap().code(), Some(0));
        assert_eq!(routes(), before);

        let keeping = setup.args(["--keep-addresses"]);
        let mut program = keeping.start().await.unwrap();
        assert!(serves(&program, "c").await);
        assert_eq!(program.terminate().await.unwrap().code(), Some(0));
        if let Some(routes) = routes() {
            assert!(routes.contains("10.98.0.0/16"), "{routes}");
        }
    });
}

/// Mounts a filesystem of so many bytes where the data goes, seen by this thread and what it
/// starts; with `MS_REMOUNT` gives the one there another size.
fn filesystem(at: &std::path::Path, size: &str, flags: MsFlags) {
    let options = format!("size={size}");
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options.as_str())).unwrap();
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    in_namespace("a_full_disk_refuses_and_loses_nothing", false, async |setup| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        let data = setup.data_dir();
        std::fs::create_dir(&data).unwrap();
        filesystem(&data, "1m", MsFlags::empty());
        let program = setup.start().await.unwrap();
        let control = program.control();
        let mut known = Vec::new();
        let refused = loop {
            let name = format!("c{}", known.len());
            let answer = control.try_register(&name, &serde_json::Value::Null).await.unwrap();
            match fakeapi_tests::control::address(&answer) {
                Ok(at) => known.push((name, at)),
                Err(_) => break answer,
            }
            assert!(known.len() < 5_000, "the disk is never full");
        };
        assert!(known.len() > 10, "{}", known.len());
        assert_eq!(refused.status, 500, "{refused}");
        let cause = refused.headers["x-fakeapi-cause"].to_str().unwrap();
        assert!(cause.contains("No space left"), "{cause}");
        // What is there is served, and what cannot be kept is refused.
        let session = program.access("c0").await.unwrap().connect().await.unwrap();
        assert_eq!(session.get("/api/v1/namespaces").await.unwrap().status, 200);
        let maps = "/api/v1/namespaces/default/configmaps";
        let large = "x".repeat(500_000);
        let map = serde_json::json!({"metadata": {"name": "m"}, "data": {"large": large}});
        let full = session.post(maps, &map).await.unwrap();
        assert!(full.status >= 500, "{full}");
        assert_eq!(session.get(&format!("{maps}/m")).await.unwrap().status, 404);
        // Room again: it goes on, without a restart.
        filesystem(&data, "64m", MsFlags::MS_REMOUNT);
        session.post(maps, &map).await.unwrap().good().unwrap();
        let late = format!("c{}", known.len());
        known.push((late.clone(), control.register(&late).await.unwrap()));
        let program = program.kill().unwrap().start().await.unwrap();
        assert_eq!(program.control().clusters().await.unwrap().len(), known.len());
        for (name, at) in &known {
            assert_eq!(program.control().register(name).await.unwrap(), *at);
        }
        let session = program.access("c0").await.unwrap().connect().await.unwrap();
        assert_eq!(session.get(&format!("{maps}/m")).await.unwrap().status, 200);
        drop(program);
        umount(&data).unwrap();
    });
}

#[test]
fn two_programs_with_the_kernel_do_not_share_addresses() {
    in_namespace("two_programs_with_the_kernel_do_not_share_addresses", true, async |setup| {
        let program = setup.start().await.unwrap();
        program.control().register("c").await.unwrap();
        let refused = setup.rival().unwrap().start().await.unwrap_err().to_string();
        let said = refused.lines().find(|line| line.contains("fakeapi: ")).unwrap();
        assert!(said.contains(&setup.slot().pool()), "{said}");
        assert!(said.contains("in use by another fakeapi"), "{said}");
        // A part of the pool is as bad, until the first is gone.
        let part = format!("{}/24", setup.slot().ip(0, 0));
        let rival = setup.rival().unwrap().without_pool();
        rival.clone().args(["--pool", &part]).start().await.unwrap_err();
        assert!(serves(&program, "c").await);
        drop(program);
        rival.args(["--pool", &part]).start().await.unwrap();
    });
}
