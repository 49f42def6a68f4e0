//! Builds the kernel object that is committed, or checks that the committed one is what the
//! sources give.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

#[path = "../../fakeapi-ebpf/digest.rs"]
mod digest;

const TARGET: &str = "bpfel-unknown-none";
const TOOLCHAIN: &str = "nightly";
const OBJECT: &str = "fakeapi.bpfel.o";
/// What an outer cargo or rustup leaves behind that would choose the toolchain for the inner one.
const INHERITED: [&str; 7] = [
    "CARGO",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// Rebuilds the object and its manifest; with `check`, compares them with the committed ones
/// instead of writing.
///
/// # Errors
/// When a tool is missing, the build fails, or, with `check`, when anything differs.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent folder")?
        .join("fakeapi-ebpf");
    let object = build(&root)?;
    let manifest = manifest(&root, &object)?;
    let folder = root.join("prebuilt");
    if check {
        return compare(&folder, &object, &manifest);
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(OBJECT), &object)?;
    fs::write(folder.join("MANIFEST"), &manifest)?;
    println!("wrote {} ({} bytes)", folder.join(OBJECT).display(), object.len());
    Ok(())
}

fn compare(folder: &Path, object: &[u8], manifest: &str) -> anyhow::Result<()> {
    let committed = fs::read(folder.join(OBJECT)).context("no committed object")?;
    let recorded = fs::read_to_string(folder.join("MANIFEST")).context("no MANIFEST")?;
    if committed != object {
        bail!(
            "the committed object ({}) is not what the sources give ({}); recorded tools:\n\
             {recorded}\ntools here:\n{manifest}",
            digest::of_bytes(&committed),
            digest::of_bytes(object),
        );
    }
    let sources = |text| digest::manifest_value(text, "sources").map(str::to_owned);
    if sources(&recorded) != sources(manifest) {
        bail!("MANIFEST records other sources than there are; run `cargo xtask ebpf`");
    }
    println!("the committed object is what the sources give");
    Ok(())
}

/// Builds the kernel crate and returns the object's bytes.
fn build(root: &Path) -> anyhow::Result<Vec<u8>> {
    let target = root.join("target");
    let mut cargo = toolchain_command("cargo");
    cargo
        .args(["build", "--release", "--locked", "--target", TARGET, "-Zbuild-std=core"])
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root)?)
        .current_dir(root);
    let status = cargo.status().context("cannot run rustup")?;
    if !status.success() {
        bail!(
            "building the kernel object failed ({status}); it needs `rustup toolchain install \
             {TOOLCHAIN} --component rust-src` and `cargo install bpf-linker`"
        );
    }
    let built = target.join(TARGET).join("release/fakeapi");
    fs::read(&built).with_context(|| format!("cannot read {}", built.display()))
}

/// Flags that keep the place of the build out of its result.
fn flags(root: &Path) -> anyhow::Result<OsString> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir().context("no home folder")?.join(".cargo"),
    };
    let sysroot = output(toolchain_command("rustc").args(["--print", "sysroot"]))?;
    let mut flags = OsString::new();
    for (from, to) in [(root, "/src"), (&home, "/cargo"), (Path::new(sysroot.trim()), "/rust")] {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

fn manifest(root: &Path, object: &[u8]) -> anyhow::Result<String> {
    let rustc = output(toolchain_command("rustc").arg("--version"))?;
    let linker = output(Command::new("bpf-linker").arg("--version"))?;
    Ok(format!(
        "# Written by `cargo xtask ebpf`; see docs/ebpf-object.md.\n\
         sources = {}\nobject = {}\nrustc = {}\nbpf-linker = {}\n",
        digest::of_sources(root)?,
        digest::of_bytes(object),
        rustc.trim(),
        linker.trim(),
    ))
}

fn toolchain_command(tool: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", TOOLCHAIN, tool]);
    for name in INHERITED {
        command.env_remove(name);
    }
    command
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
