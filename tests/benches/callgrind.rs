//! Instructions, which no load on the machine changes: this one file serves the benchmarks that count them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// How many instructions a process of `program` takes, counted by valgrind.
pub fn instructions<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output()
        .expect("this benchmark needs valgrind");
    let report = String::from_utf8_lossy(&output.stderr);
    let line = report.lines().find(|line| line.contains("Collected :")).expect("callgrind reports a count");
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("the count is the last word")
}
