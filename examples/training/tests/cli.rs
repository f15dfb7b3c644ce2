//! Runs the programs as a user does.
#![cfg(feature = "cpu")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn finetune(out: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finetune"));
    command.arg("--out").arg(out).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let is_safe = |character: char| !character.is_control() || character == '\n';
    assert!(text.chars().all(is_safe), "{text:?}");
    text
}

/// Makes two classes, one with a name that would clear the screen.
fn classes(root: &Path) -> [String; 2] {
    ["tidy", "e\u{1b}[2J\nvil"].map(|name| {
        let folder = root.join(name);
        fs::create_dir_all(&folder).unwrap();
        for file in ["first.rs", "second.rs"] {
            fs::write(folder.join(file), format!("let {name} = a_function(of, some, arguments);\n").repeat(40))
                .unwrap();
        }
        folder.to_str().unwrap().to_owned()
    })
}

#[test]
fn a_training_is_run_stopped_and_resumed() {
    let root = tempfile::tempdir().unwrap();
    let (out, [tidy, evil]) = (root.path().join("out"), classes(root.path()));
    let small = ["--backend=cpu", "--passages=2", "--tokens=8", "--batch=4"];
    let run = |more: &[&str]| finetune(&out, &[&small[..], more, &[&tidy, &evil]].concat());

    let output = run(&["--epochs=1"]);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        stdout.starts_with("4 passages of 2 classes to learn from, 2 of other files to validate, on cpu\n"),
        "{stdout}"
    );
    assert!(stdout.contains("epoch  1: loss ") && stdout.contains(r"e\u{1b}[2J\nvil"), "{stdout}");
    for plot in ["curves.svg", "confusion.svg"] {
        assert!(text(&fs::read(out.join(plot)).unwrap()).starts_with("<svg "), "{plot}");
    }

    let stdout = text(&run(&["--epochs=2", "--resume"]).stdout);
    assert!(stdout.contains("resumed after epoch 1\nepoch  2: loss "), "{stdout}");

    let output = run(&["--epochs=2", "--resume", "--lr=0.5"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.starts_with("finetune: cannot resume from ") && stderr.contains("use the same options"),
        "{stderr}"
    );
}

#[test]
fn wrong_arguments_are_errors() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    for (arguments, expected) in [
        (&["--batch=0"][..], "--batch"),
        (&["--tokens=2"], "--tokens"),
        (&["--compare", "--resume"], "--resume"),
        (&["--backend=cpu", "--model=missing\u{1b}"], r"cannot read the model file missing\u{1b}"),
    ] {
        let output = finetune(&out, arguments);
        assert!(!output.status.success());
        let stderr = text(&output.stderr);
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    fs::write(root.path().join("file"), "").unwrap();
    let output = finetune(&root.path().join("file/o\nut"), &["--backend=cpu"]);
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("finetune: cannot create the folder ") && stderr.contains(r"o\nut"), "{stderr}");
}

#[test]
fn a_short_run_of_dqn_writes_its_plot_and_its_networks() {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dqn"));
    let output = command.args(["--backend=cpu", "--episodes=3", "--out"]).arg(root.path()).output().unwrap();
    let stdout = text(&output.stdout);
    assert!(output.status.success() && stdout.contains("\nepisode   3, step "), "{stdout}");
    assert!(root.path().join("networks.safetensors").exists());
    assert!(text(&fs::read(root.path().join("return.svg")).unwrap()).contains("Return over episodes"));
}
