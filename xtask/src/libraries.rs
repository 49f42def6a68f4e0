//! What a binary of this machine loads when it starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The shared libraries of a binary and the loader, at the paths where they are looked for; none
/// for a static one.
///
/// # Errors
/// When `ldd` cannot be run or does not know the file.
pub(crate) fn of(binary: &Path) -> Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(binary).output().context("ldd could not be run")?;
    let listed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ldd {}: {}", binary.display(), said.trim());
    ensure!(!listed.contains("not found"), "{} lacks libraries: {listed}", binary.display());
    Ok(paths(&listed))
}

/// The absolute paths `ldd` lists: `libc.so.6 => /lib/libc.so.6 (0x..)` and the loader alone.
fn paths(listed: &str) -> BTreeSet<PathBuf> {
    let words = listed.lines().flat_map(str::split_whitespace);
    words.filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_is_read() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(paths(listed), expected.map(PathBuf::from).into());
        assert!(paths("\tstatically linked\n").is_empty());
    }
}
