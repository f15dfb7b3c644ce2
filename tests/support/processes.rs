//! Programs, and libraries for them to load.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program and returns what it writes to its standard output, without the last line's end.
///
/// # Panics
///
/// If the program cannot be started or fails, with both of its outputs.
#[track_caller]
pub fn run(program: &mut Command) -> String {
    let output = program.output().unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    stdout.trim_end().to_owned()
}

/// The compiler of a library's source.
#[derive(Clone, Copy)]
pub enum Compiler {
    /// The C compiler in `CC`, or `cc`.
    C,
    /// The C++ compiler in `CXX`, or `c++`.
    Cxx,
}

/// Compiles `source` to the shared library `file` in `folder`, and returns its path.
///
/// # Panics
///
/// If it cannot be compiled.
#[track_caller]
#[must_use]
pub fn compile_library(compiler: Compiler, folder: &Path, file: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (variable, default, ending) = match compiler {
        Compiler::C => ("CC", "cc", "c"),
        Compiler::Cxx => ("CXX", "c++", "cpp"),
    };
    std::fs::create_dir_all(folder).unwrap();
    let (text, library) = (folder.join(file).with_extension(ending), folder.join(file));
    std::fs::write(&text, source).unwrap();
    let mut command = Command::new(std::env::var(variable).unwrap_or_else(|_| default.into()));
    run(command.args(["-shared", "-fPIC"]).args(flags).arg("-o").arg(&library).arg(&text));
    library
}
