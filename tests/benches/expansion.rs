//! Measures the compile time of the attributes, beside `#[tracing::instrument(skip_all)]`.
//!
//! `cargo bench -p grad-tests --no-default-features --bench expansion` prints three tables:
//!
//! - `cargo check` and `cargo build` of one file of 2,000 functions, annotated with the one, with the other and not at all:
//!   expansion, and what the compiler then makes of the code.
//! - `cargo build` from an empty target folder of a package that depends on `grad-core`, of one that depends on `grad-macros`, and
//!   of one that depends on `tracing-attributes`.
//!
//! Rounds are interleaved, and the middle one of each is printed: wall time, and the CPU time of cargo and of what it
//! started (on Linux).
//!
//! With `-- instructions`, rustc checks the functions without an attribute and with `#[no_grad]` under `valgrind --tool=callgrind`
//! instead, for numbers that another load on the machine does not change, and the benchmark fails if their ratio is above
//! [`LIMIT`]. That takes some minutes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

const FUNCTIONS: usize = 2_000;
const ROUNDS: usize = 5;
/// How many times as many instructions rustc may take with `#[no_grad]`.
const LIMIT: f64 = 1.25;

/// Set for the copies of this program that cargo runs in the place of rustc.
const INSTEAD_OF_RUSTC: &str = "GRAD_EXPANSION_REPORT";

fn main() -> io::Result<()> {
    if let Some(report) = env::var_os(INSTEAD_OF_RUSTC) {
        return under_callgrind(Path::new(&report));
    }
    let annotations = [
        ("no attribute", ""),
        ("#[no_grad]", "#[no_grad]"),
        ("#[instrument(skip_all)]", "#[instrument(skip_all)]"),
    ];
    let counted = env::args().any(|argument| argument == "instructions");
    let mut cases = vec![];
    for (name, attribute) in annotations.into_iter().take(if counted { 2 } else { 3 }) {
        let dependencies = ["grad-runtime = { path = \"ROOT/grad-runtime\" }", "tracing = \"0.1\""];
        // Cargo builds one package at a time in a target folder.
        let target = if counted && attribute.is_empty() { "plain" } else { "checked" };
        let package = Package::new(&format!("checked {name}"), target, &dependencies, &functions(attribute))?;
        // Builds the dependencies, which are not measured.
        package.cargo("check")?;
        cases.push((name.to_owned(), package));
    }
    if counted {
        return compare_instructions(&cases[0], &cases[1]);
    }
    println!("cargo check of {FUNCTIONS} functions:");
    compare(&cases, |package| package.cargo("check"))?;
    println!("cargo build of {FUNCTIONS} functions:");
    for (_, package) in &cases {
        package.cargo("build")?;
    }
    compare(&cases, |package| package.cargo("build"))?;

    println!("from scratch:");
    let crates = [
        ("grad-core", "grad-core = { path = \"ROOT/grad-runtime/core\" }"),
        ("grad-macros", "grad-macros = { path = \"ROOT/grad-macros\" }"),
        ("tracing-attributes", "tracing-attributes = \"0.1\""),
    ];
    let mut cases = vec![];
    for (name, dependency) in crates {
        cases.push((name.to_owned(), Package::new(name, name, &[dependency], "")?));
    }
    compare(&cases, |package| {
        if package.target.exists() {
            fs::remove_dir_all(&package.target)?;
        }
        package.cargo("build")
    })
}

/// A file of functions that differ, as they do in a crate: free ones, methods and async ones, each with a body of some
/// lines.
fn functions(attribute: &str) -> String {
    let mut text = String::from(
        "#![allow(dead_code, unused_imports)]\nuse grad_runtime::attr::no_grad;\nuse tracing::instrument;\n\
         pub struct Model { weights: Vec<f32> }\n",
    );
    for i in 0..FUNCTIONS {
        let (before, signature, after) = match i % 4 {
            0 => ("", format!("pub fn free_{i}(weights: &[f32], scale: f32) -> Result<f32, String>"), ""),
            1 => (
                "",
                format!(
                    "pub fn generic_{i}<W: AsRef<[f32]>>(weights: W, scale: f32) -> Result<f32, String>\nwhere W: Clone"
                ),
                "",
            ),
            2 => ("impl Model {", format!("pub fn method_{i}(&mut self, scale: f32) -> Result<f32, String>"), "}"),
            _ => (
                "",
                format!("pub async fn asynchronous_{i}(weights: Vec<f32>, scale: f32) -> Result<f32, String>"),
                "",
            ),
        };
        let weights = match i % 4 {
            1 => "weights.as_ref()",
            2 => "&self.weights",
            _ => "&weights[..]",
        };
        let wait = if i % 4 == 3 { "std::future::ready(()).await;" } else { "" };
        let written = write!(
            text,
            "{before}\n{attribute}\n{signature}\n{{
    let weights: &[f32] = {weights};
    let Some((first, rest)) = weights.split_first() else {{
        return Err(format!(\"{{}} weights, scale {{scale}}\", weights.len()));
    }};
    {wait}
    let mut total = *first;
    for (at, weight) in rest.iter().enumerate() {{
        match at % 3 {{
            0 if *weight > scale => total += weight * scale,
            1 => total -= weight,
            _ => continue,
        }}
    }}
    let text = format!(\"{{total:.3}}\");
    text.parse::<f32>().map_err(|error| error.to_string())
}}\n{after}\n"
        );
        written.expect("a String takes any text");
    }
    text
}

/// A package that cargo builds by itself.
struct Package {
    folder: PathBuf,
    target: PathBuf,
}

impl Package {
    fn new(name: &str, target: &str, dependencies: &[&str], source: &str) -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let name: String = name.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').collect();
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("expansion");
        let (folder, target) = (place.join(&name), place.join("target").join(target));
        fs::create_dir_all(folder.join("src"))?;
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n\n[workspace]\n",
            dependencies.join("\n").replace("ROOT", &root.display().to_string())
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        fs::write(folder.join("src/lib.rs"), source)?;
        // The same versions as here, and none to ask the network for.
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        Ok(Self { folder, target })
    }

    /// Runs cargo on the package, whose own source is always new to it.
    fn cargo(&self, command: &str) -> io::Result<()> {
        self.run(Command::new(env!("CARGO")).arg(command))
    }

    fn run(&self, cargo: &mut Command) -> io::Result<()> {
        let source = self.folder.join("src/lib.rs");
        let text = fs::read_to_string(&source)?;
        fs::write(&source, &text)?;
        let output = cargo
            .args(["--quiet", "--offline", "--lib"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "0")
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null())
            .output()?;
        let report = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(io::Error::other(report.into_owned())) }
    }

    /// How many instructions rustc takes to check it.
    #[expect(clippy::cast_precision_loss)]
    fn instructions(&self) -> io::Result<f64> {
        let report = self.folder.join("instructions");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.arg("check").env("RUSTC_WORKSPACE_WRAPPER", env::current_exe()?).env(INSTEAD_OF_RUSTC, &report);
        self.run(&mut cargo)?;
        let count: u64 = fs::read_to_string(&report)?.parse().map_err(io::Error::other)?;
        Ok(count as f64)
    }
}

/// Runs what the arguments say, and writes down how many instructions that took.
fn under_callgrind(report: &Path) -> io::Result<()> {
    let log = report.with_extension("log");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=yes"])
        .arg(format!("--log-file={}", log.display()))
        .args(env::args_os().skip(1))
        .status()?;
    let log = fs::read_to_string(log)?;
    if let Some(count) = log.lines().rfind(|line| line.contains("Collected :")) {
        fs::write(report, count.rsplit(' ').next().unwrap_or_default())?;
    }
    std::process::exit(status.code().unwrap_or(1))
}

/// Prints how many instructions rustc takes to check both, and fails if their ratio is above [`LIMIT`].
fn compare_instructions(plain: &(String, Package), annotated: &(String, Package)) -> io::Result<()> {
    let counts = thread::scope(|threads| {
        [plain, annotated]
            .map(|(_, package)| threads.spawn(|| package.instructions()))
            .map(|count| count.join().expect("no thread panics"))
    });
    let [less, more] = counts;
    let (less, more) = (less?, more?);
    println!("{FUNCTIONS} functions:");
    for (count, (name, _)) in [(less, plain), (more, annotated)] {
        println!("{:>10.1} million instructions: {name}", count / 1e6);
    }
    println!("{:>10.3} times as many; {LIMIT} are allowed", more / less);
    if more <= LIMIT * less { Ok(()) } else { Err(io::Error::other("the attribute takes too long to compile")) }
}

/// Runs the cases in turns, and prints the middle one of each one's times.
fn compare(cases: &[(String, Package)], run: impl Fn(&Package) -> io::Result<()>) -> io::Result<()> {
    let mut times = vec![vec![]; cases.len()];
    for _ in 0..ROUNDS {
        for ((_, package), times) in cases.iter().zip(&mut times) {
            let (start, cpu) = (Instant::now(), cpu_of_children());
            run(package)?;
            times.push((start.elapsed(), cpu_of_children().saturating_sub(cpu)));
        }
    }
    for ((name, _), times) in cases.iter().zip(times) {
        let (mut wall, mut cpu): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        wall.sort();
        cpu.sort();
        println!(
            "{:>7.2} s wall ({:.2} to {:.2}), {:>6.2} s CPU ({:.2} to {:.2}): {name}",
            wall[ROUNDS / 2].as_secs_f64(),
            wall[0].as_secs_f64(),
            wall[ROUNDS - 1].as_secs_f64(),
            cpu[ROUNDS / 2].as_secs_f64(),
            cpu[0].as_secs_f64(),
            cpu[ROUNDS - 1].as_secs_f64(),
        );
    }
    Ok(())
}

/// The CPU time of all children that have ended, theirs included. Linux counts it in hundredths of a second.
fn cpu_of_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, in parentheses, may hold spaces; what follows it starts with the third.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(16 - 3).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
