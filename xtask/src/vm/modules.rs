//! Which modules a guest loads, in which order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::tools;

/// A module ready to be loaded.
#[derive(Debug)]
pub(super) struct Module {
    /// Its name, such as `veth`.
    pub(super) name: String,
    /// The file's bytes, decompressed.
    pub(super) bytes: Vec<u8>,
}

/// The named modules of an unpacked kernel's module folder, each after those it depends on;
/// built-in ones are left out.
pub(super) fn find(folder: &Path, names: &[&str]) -> Result<Vec<Module>> {
    let builtin = fs::read_to_string(folder.join("modules.builtin"))?;
    let builtin: Vec<String> = builtin.lines().filter_map(module_name).collect();
    let mut files = Vec::new();
    walk(&folder.join("kernel"), &mut files)?;
    let mut order = Vec::new();
    for name in names {
        load_order(name, &builtin, &files, &mut order)?;
    }
    Ok(order)
}

fn load_order(
    name: &str,
    builtin: &[String],
    files: &[PathBuf],
    order: &mut Vec<Module>,
) -> Result<()> {
    if builtin.iter().chain(order.iter().map(|module| &module.name)).any(|known| known == name) {
        return Ok(());
    }
    let named = |file: &&PathBuf| {
        file.file_name().and_then(|file| module_name(file.to_str()?)).is_some_and(|n| n == name)
    };
    let file = files.iter().find(named).with_context(|| format!("no module {name}"))?;
    let bytes = read_module(file)?;
    // Dependencies have no cycles: depmod refuses them when the package is built.
    for dependency in dependencies(&bytes) {
        load_order(&dependency, builtin, files, order)?;
    }
    order.push(Module { name: name.to_owned(), bytes });
    Ok(())
}

/// `kernel/drivers/net/veth.ko.xz` is `veth`; the kernel writes names with underscores.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let (name, _) = file.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn read_module(file: &Path) -> Result<Vec<u8>> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => {
            tools::need("xz", "xz-utils")?;
            tools::run_binary(Command::new("xz").arg("-dc").arg(file))
        }
        _ => fs::read(file).with_context(|| format!("could not read {}", file.display())),
    }
}

/// The modules a module names in its `.modinfo` section, a list of `key=value` strings each ended
/// by a zero byte. Debian runs depmod at installation, which does not happen here.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_the_module() {
        let module = b"ELF\0license=GPL\0depends=nf-tables,x_tables\0name=a\0";
        assert_eq!(dependencies(module), ["nf_tables", "x_tables"]);
        assert_eq!(dependencies(b"\0depends=\0"), [""; 0]);
        assert_eq!(dependencies(b"no list"), [""; 0]);
    }

    #[test]
    fn names_come_from_files() {
        assert_eq!(module_name("kernel/net/veth.ko.xz").as_deref(), Some("veth"));
        assert_eq!(module_name("a/nf-tables.ko").as_deref(), Some("nf_tables"));
        assert_eq!(module_name("modules.order"), None);
    }

    #[test]
    fn modules_are_ordered_by_dependency() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, depends: &str| {
            let path = folder.path().join(name);
            fs::write(&path, format!("x\0depends={depends}\0")).unwrap();
            path
        };
        let files = [file("a.ko", "b,c,inside"), file("b.ko", "c"), file("c.ko", "")];
        let mut order = Vec::new();
        load_order("a", &["inside".to_owned()], &files, &mut order).unwrap();
        load_order("b", &[], &files, &mut order).unwrap();
        let names: Vec<_> = order.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
        let error = load_order("d", &[], &files, &mut order).unwrap_err();
        assert_eq!(error.to_string(), "no module d");
    }
}
