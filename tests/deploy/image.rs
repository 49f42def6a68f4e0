//! The image that `cargo xtask image` writes, judged by what reads images, and run.

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fakeapi_tests::control::{Control, address};
use fakeapi_tests::namespace::Namespace;
use fakeapi_tests::{Access, binary, skip};
use flate2::read::GzDecoder;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::root;

/// The user that FKAS runs as.
const NONROOT: u32 = 65_532;

/// How long the program may take until it serves.
const START: Duration = Duration::from_mins(1);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Makes the root read-only and gives it /proc, then becomes the program, as an engine does.
const ENGINE: &str = "mount --bind \"$1\" \"$1\" && mount --bind /proc \"$1/proc\" && \
                      mount -o remount,ro,bind \"$1\" && cd \"$1\" && shift && \
                      exec chroot --userspec=65532:65532 . \"$@\"";

/// The archive, packed once for all tests: that takes its time without optimizations.
fn archive() -> Result<&'static Path> {
    static PACKED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PACKED.get_or_init(|| pack().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("the image could not be packed: {error}"),
    }
}

/// Packs the program of this test.
fn pack() -> Result<PathBuf> {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metal3-fkas.tar");
    let program = binary::path()?;
    let target = program.ancestors().nth(2).context("the program lies nowhere")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "xtask", "--target-dir"])
        .arg(target)
        .args(["--", "image", "--program"])
        .arg(program)
        .arg("--output")
        .arg(&to)
        .current_dir(root())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(to)
}

/// A file of an archive.
fn file(archive: &Path, name: &str) -> Result<Vec<u8>> {
    let mut archive = tar::Archive::new(File::open(archive)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.to_string_lossy() == name {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    bail!("{name} is not there")
}

/// Unpacks the layers as an engine does, and answers the image's configuration.
fn unpack(archive: &Path, to: &Path) -> Result<Value> {
    let manifest: Value = serde_json::from_slice(&file(archive, "manifest.json")?)?;
    let named = |value: &Value| value.as_str().map(str::to_owned).context("no name of a file");
    for layer in manifest[0]["Layers"].as_array().context("no layers")? {
        let packed = file(archive, &named(layer)?)?;
        let mut layer = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        layer.set_preserve_permissions(true);
        layer.set_preserve_ownerships(nix::unistd::geteuid().is_root());
        layer.unpack(to)?;
    }
    Ok(serde_json::from_slice(&file(archive, &named(&manifest[0]["Config"])?)?)?)
}

/// The image, unpacked.
struct Image {
    home: TempDir,
    root: PathBuf,
    config: Value,
}

fn image() -> Result<Image> {
    let home = tempfile::tempdir()?;
    let root = home.path().join("root");
    fs::create_dir(&root)?;
    let config = unpack(archive()?, &root)?;
    Ok(Image { home, root, config })
}

#[test]
fn it_holds_one_program_under_three_names_and_what_that_loads() {
    let image = image().unwrap();
    assert_eq!(image.config["config"]["Entrypoint"], json!(["/fkas"]));
    assert_eq!(image.config["config"]["User"], format!("{NONROOT}:{NONROOT}"));
    for name in ["fkas", "reconciler"] {
        assert_eq!(fs::read_link(image.root.join(name)).unwrap(), Path::new("fakeapi"));
    }
    let program = fs::metadata(image.root.join("fakeapi")).unwrap();
    assert_eq!(program.mode() & 0o7777, 0o755);
    let passwd = fs::read_to_string(image.root.join("etc/passwd")).unwrap();
    assert!(passwd.contains(&format!(":x:{NONROOT}:{NONROOT}:")), "{passwd}");
    if nix::unistd::geteuid().is_root() {
        let home = fs::metadata(image.root.join("home/nonroot")).unwrap();
        assert_eq!((home.uid(), home.mode() & 0o7777), (NONROOT, 0o700));
        let tmp = fs::metadata(image.root.join("tmp")).unwrap();
        assert_eq!((tmp.uid(), tmp.mode() & 0o7777), (0, 0o1777));
    }
}

#[test]
fn skopeo_takes_it_in_both_forms() {
    let test = "skopeo_takes_it_in_both_forms";
    if let Err(error) = Command::new("skopeo").arg("--version").output() {
        return skip::tell(test, &format!("skopeo: {error}"));
    }
    let home = tempfile::tempdir().unwrap();
    let copy = home.path().join("copy");
    let archive = archive().unwrap().display();
    for (form, name) in [
        ("docker-archive", "quay.io/metal3-io/metal3-fkas:ci"),
        ("docker-archive", "localhost/fakeapi:0.1.0"),
        ("oci-archive", "ci"),
    ] {
        // A copy reads everything and compares every digest.
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "copy", &format!("{form}:{archive}:{name}")])
            .arg(format!("dir:{}", copy.display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{form} {name}: {said}");
        fs::remove_dir_all(&copy).unwrap();
    }
}

/// A container's process; killed when dropped.
struct Container(Child);

impl Drop for Container {
    fn drop(&mut self) {
        // Of a process that has ended already nothing is left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Container {
    /// Runs a command of the image in the network namespace of this thread.
    fn run(root: &Path, command: &[&str], variables: &[(&str, &str)], log: &Path) -> Result<Self> {
        fs::create_dir_all(root.join("proc"))?;
        let log = File::create(log)?;
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", ENGINE, "sh"])
            .arg(root)
            .args(command)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs([("HOME", "/home/nonroot"), ("NO_COLOR", "1")])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self(child))
    }

    fn wait_until_it_serves(&mut self, log: &Path) -> Result<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, 3333)).is_err() {
            if let Some(status) = self.0.try_wait()? {
                bail!("{status}: {}", fs::read_to_string(log)?);
            }
            if Instant::now() > deadline {
                bail!("not there after {START:?}: {}", fs::read_to_string(log)?);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Registers a cluster, brings a node, and asks the cluster for it without saying who asks.
async fn use_it() -> Result<()> {
    let control = Control::new((Ipv4Addr::LOCALHOST, 3333).into());
    let body = json!({"cluster": "c", "namespace": "default"});
    let at = address(&control.json(Method::POST, "/register", &body).await?)?;
    // 20000 is another program's here.
    ensure!(at == (Ipv4Addr::LOCALHOST, 20_001).into(), "{at}");
    control.control_plane("c", "n0").await?;
    let access = Access::from_kubeconfig(&control.kubeconfig("c").await?)?;
    let session = access.anonymous().connect().await?;
    let node = session.get("/api/v1/nodes/n0").await?.good()?;
    ensure!(node["metadata"]["name"] == "n0", "{node}");
    Ok(())
}

#[test]
fn its_entry_point_serves_as_nobody_with_nothing_to_write_to() {
    let test = "its_entry_point_serves_as_nobody_with_nothing_to_write_to";
    if let Some(why) = skip::without_root() {
        return skip::tell(test, &why);
    }
    let image = image().unwrap();
    let namespace = Namespace::new();
    let log = image.home.path().join("log");
    let (root, told) = (image.root.clone(), log.clone());
    namespace.run(move || {
        let _foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, 20_000)).unwrap();
        let variables = [("POD_IP", "127.0.0.1"), ("DEBUG", "true")];
        let mut container = Container::run(&root, &["/fkas"], &variables, &told).unwrap();
        container.wait_until_it_serves(&told).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(use_it());
        outcome.with_context(|| fs::read_to_string(&told).unwrap()).unwrap();
    });
    let said = fs::read_to_string(log).unwrap();
    assert!(said.contains("clusters end with this process"), "{said}");
    assert!(said.contains("no management cluster"), "{said}");
}
