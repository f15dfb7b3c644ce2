//! Instructions, which no load on the machine changes: this one file serves the benchmarks that count them.

use std::ffi::OsStr;
use std::fs;
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

/// How many instructions a process of `program` takes before its first call of a function named `callgrind_mark`, and between each
/// call and the next.
pub fn between_marks<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> Vec<u64> {
    let folder = tempfile::tempdir().expect("callgrind needs a folder for its files");
    let file = folder.path().join("callgrind");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-before=*callgrind_mark*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(arguments)
        .output()
        .expect("this benchmark needs valgrind");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A file for each mark, numbered from 1.
    let reports = (1..).map_while(|mark| fs::read_to_string(folder.path().join(format!("callgrind.{mark}"))).ok());
    let total = |report: String| {
        let total = report.lines().find_map(|line| line.strip_prefix("totals: "))?;
        total.parse().ok()
    };
    reports.map(|report| total(report).expect("callgrind reports a total")).collect()
}
