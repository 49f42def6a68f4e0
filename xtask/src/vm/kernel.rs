//! Debian's kernels, by ordinary apt, without touching the system's sources.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::tools;

/// Suites that have a kernel between them: 6.1, 6.12 and what backports carry.
const SUITES: [&str; 4] = ["bookworm", "bookworm-backports", "trixie", "trixie-backports"];

/// Debian's key for its archive, on every Debian host.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The bootable image.
    pub(super) image: PathBuf,
    /// The folder with `kernel/` and `modules.builtin`.
    pub(super) modules: PathBuf,
}

/// Gets the newest Debian build of a kernel version into `folder`, once.
pub(super) fn fetch(version: &str, folder: &Path) -> Result<Kernel> {
    let is_version = version.split('.').all(|part| part.parse::<u32>().is_ok());
    ensure!(is_version, "{version:?} is no kernel version; 6.1 is one");
    let root = folder.join("root");
    if !root.exists() {
        let package = download(version, folder)?;
        let unpacking = folder.join("unpacking");
        tools::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacking))?;
        // Renamed when whole, so that an interrupted run is not taken for a cached one.
        fs::rename(unpacking, &root)?;
    }
    let image = only_entry(&root.join("boot"), "vmlinuz-")?;
    // Debian 13 moved modules below /usr.
    let places = [root.join("usr/lib/modules"), root.join("lib/modules")];
    let modules = places.iter().find_map(|place| only_entry(place, "").ok());
    let modules = modules.with_context(|| format!("no modules in {}", root.display()))?;
    Ok(Kernel { image, modules })
}

fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let name = names.find(|name| name.starts_with(prefix));
    let name = name.with_context(|| format!("no {prefix}* in {}", folder.display()))?;
    Ok(folder.join(name))
}

/// Downloads the newest matching package; gives its file.
fn download(version: &str, folder: &Path) -> Result<PathBuf> {
    tools::need("apt-get", "apt")?;
    tools::need("dpkg-deb", "dpkg")?;
    let apt = Apt::prepare(&folder.join("apt"))?;
    eprintln!("vm {version}: asking Debian for its kernels");
    tools::run(&mut apt.command("apt-get", &["-qq", "update"]))?;
    // The cloud flavour is a third of the size, and has all the modules we load.
    let pattern = format!("^linux-image-{}[.].*cloud-amd64-unsigned$", version.replace('.', "[.]"));
    let found = tools::run(&mut apt.command("apt-cache", &["search", "--names-only", &pattern]))?;
    let names = found.lines().filter_map(|line| line.split(' ').next());
    let newest = names.max_by(|a, b| by_numbers(a, b));
    let newest = newest.with_context(|| format!("Debian has no kernel {version} in {SUITES:?}"))?;
    eprintln!("vm {version}: downloading {newest}");
    let mut get = apt.command("apt-get", &["-qq", "download", newest]);
    tools::run(get.current_dir(folder))?;
    only_entry(folder, "linux-image-")
}

/// apt with its own sources, lists and cache.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn prepare(folder: &Path) -> Result<Self> {
        ensure!(
            Path::new(KEYRING).exists(),
            "{KEYRING} is missing: kernels come from Debian's apt"
        );
        for part in ["sources", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let folder = folder.canonicalize()?;
        let mirror = mirror()?;
        let lines =
            SUITES.map(|suite| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"));
        let list = folder.join("debian.list");
        fs::write(&list, lines.concat())?;
        let set = |key: &str, path: PathBuf| format!("{key}={}", path.display());
        let options = vec![
            set("Dir::Etc::sourcelist", list),
            set("Dir::Etc::sourceparts", folder.join("sources")),
            set("Dir::State::lists", folder.join("lists")),
            set("Dir::Cache", folder.join("cache")),
            // apt's own user may not be able to write below the workspace.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { options })
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        command.args(arguments);
        command
    }
}

/// The mirror of the system's own sources, so that what is set up there is used.
fn mirror() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let deb822 = read("/etc/apt/sources.list.d/debian.sources");
    let plain = read("/etc/apt/sources.list");
    let uris = deb822.lines().filter_map(|line| line.strip_prefix("URIs:")).map(str::trim);
    let words =
        plain.lines().filter(|line| line.starts_with("deb ")).flat_map(str::split_whitespace);
    uris.chain(words.filter(|word| word.contains("://")))
        .find(|uri| !uri.contains("security"))
        .map(str::to_owned)
        .context("apt's sources name no mirror of Debian's packages")
}

/// Orders package names by the numbers in them, so that 6.1.0-9 comes before 6.1.0-50.
fn by_numbers(a: &str, b: &str) -> Ordering {
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    numbers(a).cmp(&numbers(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_package_wins() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64-unsigned",
            "linux-image-6.1.0-50-cloud-amd64-unsigned",
            "linux-image-6.1.0-47-cloud-amd64-unsigned",
        ];
        assert_eq!(names.iter().max_by(|a, b| by_numbers(a, b)), Some(&names[1]));
        let newer = "linux-image-6.12.107+deb13-cloud-amd64-unsigned";
        let older = "linux-image-6.12.95+deb12-cloud-amd64-unsigned";
        assert_eq!(by_numbers(newer, older), Ordering::Greater);
    }
}
