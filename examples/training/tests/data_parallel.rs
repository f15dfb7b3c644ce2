//! Runs `data-parallel` as a user does.
#![cfg(feature = "mlx")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use grad_runtime::mlx::Array;
use grad_runtime::safetensors;

fn data_parallel(out: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_data-parallel"));
    command.arg("--out").arg(out).args(arguments).output().unwrap()
}

/// Writes sources of two classes.
fn classes(root: &Path) -> [String; 2] {
    ["sums", "words"].map(|name| {
        let folder = root.join(name);
        fs::create_dir_all(&folder).unwrap();
        for file in 0..6 {
            let lines: Vec<String> = (0..60)
                .map(|line| format!("let {name}_{line} = {name}.at({file}, {line}, of, some, arguments);"))
                .collect();
            fs::write(folder.join(format!("{file}.rs")), lines.join("\n")).unwrap();
        }
        folder.to_str().unwrap().to_owned()
    })
}

fn weights(out: &Path) -> Vec<f32> {
    let arrays = safetensors::load::<Array>(out.join("checkpoint.safetensors")).unwrap();
    arrays.values().flat_map(|array| array.to_vec::<f32>().unwrap()).collect()
}

#[test]
fn processes_train_the_weights_of_one() {
    let root = tempfile::tempdir().unwrap();
    let sources = classes(root.path());
    let run = |out: &str, arguments: &[&str]| {
        let out = root.path().join(out);
        let small = ["--passages=4", "--tokens=12", "--epochs=2"];
        let output = data_parallel(&out, &[&small[..], arguments, &[&sources[0], &sources[1]]].concat());
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(output.status.success(), "{stdout}\n{stderr}");
        assert!(fs::read_to_string(out.join("loss.svg")).unwrap().starts_with("<svg "));
        (stdout, weights(&out))
    };
    let (stdout, together) = run("together", &["--launch", "2", "--batch=2", "--verify"]);
    assert!(stdout.starts_with("2 processes, 4 steps of 4 passages: loss "), "{stdout}");
    assert!(stdout.contains("one process with the same batches: weights differ by "), "{stdout}");
    let (stdout, alone) = run("alone", &["--batch=4"]);
    assert!(stdout.starts_with("1 processes, 4 steps of 4 passages: loss "), "{stdout}");
    assert_eq!(together.len(), alone.len());
    for (together, alone) in together.iter().zip(&alone) {
        assert!((together - alone).abs() <= 1e-4, "{together} {alone}");
    }
}

#[test]
fn a_process_that_fails_ends_the_others() {
    let root = tempfile::tempdir().unwrap();
    let sources = classes(root.path());
    // There are fewer passages than a batch has.
    let output =
        data_parallel(root.path(), &["--launch=2", "--passages=2", "--batch=64", &sources[0], &sources[1]]);
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("does not divide among 2 processes"), "{stderr}");
    assert!(stderr.contains("the processes of rank [0, 1] have failed"), "{stderr}");
}
