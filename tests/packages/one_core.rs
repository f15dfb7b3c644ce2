//! Two copies of grad-core in one program would be two grad modes: Cargo refuses them, by the key `links`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

/// A package whose dependencies are copies of grad-core.
struct Program {
    folder: TempDir,
    dependencies: String,
}

impl Program {
    fn new() -> Self {
        Self { folder: TempDir::with_prefix("one-core-").unwrap(), dependencies: String::new() }
    }

    /// Depends on a copy of grad-core with this version, and with the manifest that `edit` returns.
    ///
    /// The copy keeps the layout of the repository, so the workspace keys of its manifest find the workspace's own values.
    fn depend_on(mut self, version: &str, edit: impl FnOnce(&str) -> String) -> Self {
        let root = repository();
        let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let members = workspace.lines().find(|line| line.starts_with("members = ")).unwrap();
        let workspace = workspace.replace(members, "members = [\"grad-runtime/core\"]");

        let manifest = fs::read_to_string(root.join("grad-runtime/core/Cargo.toml")).unwrap();
        let inherited = "\nversion.workspace = true\n";
        assert!(manifest.contains(inherited), "{manifest}");
        let manifest = manifest.replace(inherited, &format!("\nversion = \"{version}\"\n"));

        let copy = self.folder.path().join(version);
        let package = copy.join("grad-runtime/core");
        fs::create_dir_all(package.join("src")).unwrap();
        fs::write(copy.join("Cargo.toml"), workspace).unwrap();
        fs::write(package.join("Cargo.toml"), edit(&manifest)).unwrap();
        fs::copy(root.join("grad-runtime/core/build.rs"), package.join("build.rs")).unwrap();
        // Cargo resolves dependencies without reading the sources.
        fs::write(package.join("src/lib.rs"), "").unwrap();

        let number = self.dependencies.lines().count();
        writeln!(
            self.dependencies,
            "core-{number} = {{ package = \"grad-core\", path = '{}' }}",
            package.display()
        )
        .unwrap();
        self
    }

    /// Lets Cargo resolve the dependencies, and returns its error message if it refuses.
    fn resolve(&self) -> Result<(), String> {
        let folder = self.folder.path().join("program");
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/main.rs"), "fn main() {}\n").unwrap();
        let package = "[package]\nname = \"program\"\nedition = \"2024\"\n\n[workspace]\n";
        fs::write(folder.join("Cargo.toml"), format!("{package}\n[dependencies]\n{}", self.dependencies)).unwrap();
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["generate-lockfile", "--offline", "--color=never"])
            .current_dir(&folder)
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn without_links(manifest: &str) -> String {
    let links = "\nlinks = \"grad-core\"\n";
    assert!(manifest.contains(links), "{manifest}");
    manifest.replace(links, "\n")
}

#[test]
fn cargo_accepts_one_copy() {
    assert_eq!(Program::new().depend_on("0.1.0", str::to_owned).resolve(), Ok(()));
}

#[test]
fn cargo_refuses_two_copies() {
    let message =
        Program::new().depend_on("0.1.0", str::to_owned).depend_on("0.2.0", str::to_owned).resolve().unwrap_err();
    assert!(message.contains("failed to select a version for `grad-core`"), "{message}");
    assert!(message.contains("package `grad-core` links to the native library `grad-core`"), "{message}");
    assert!(message.contains("conflicts with a previous package which links to `grad-core` as well"), "{message}");
}

/// Without the key, nothing else would keep the second copy out.
#[test]
fn the_key_links_is_the_reason() {
    assert_eq!(
        Program::new().depend_on("0.1.0", without_links).depend_on("0.2.0", without_links).resolve(),
        Ok(())
    );
}
