//! Runs `code-search` on a small tree.
#![cfg(any(feature = "cpu", feature = "mlx"))]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const FILES: [(&str, &str); 3] = [
    ("bread.md", "# Bread\n\nKnead the dough, let it rise overnight and bake it in a hot oven.\n"),
    (
        "src/sort.rs",
        "/// Sorts the numbers in ascending order.\nfn sort(numbers: &mut [i32]) {\n    numbers.sort();\n}\n",
    ),
    (
        "src/http.py",
        "def download(url):\n    \"\"\"Fetches a web page over the network.\"\"\"\n    return urlopen(url).read()\n",
    ),
];

struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for (name, contents) in FILES {
            let path = dir.path().join("tree").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        Self(dir)
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("tree")
    }

    fn indexes(&self) -> PathBuf {
        self.0.path().join("indexes")
    }

    fn command(&self, query: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_code-search"));
        command.arg(query).arg(self.root());
        command.arg("--index").arg(self.indexes());
        command
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[cfg(feature = "cpu")]
fn failure(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    stderr(&output)
}

fn finds_by_meaning(backend: &str, name: &str) {
    let tree = Tree::new();
    let found = json(tree.command("put numbers into order").args(["--backend", backend]));
    assert_eq!(found["backend"], name);
    assert_eq!((&found["files"], &found["passages"], &found["embedded"]), (&3.into(), &3.into(), &3.into()));
    let first = &found["results"][0];
    assert_eq!(first["path"], tree.root().join("src/sort.rs").display().to_string());
    assert_eq!((&first["rank"], &first["start_line"], &first["end_line"]), (&1.into(), &1.into(), &4.into()));
    assert_eq!(first["snippet"], FILES[1].1.trim_end());
    let scores = found["results"].as_array().unwrap().iter().map(|hit| hit["score"].as_f64().unwrap());
    assert!(scores.clone().count() == 3 && scores.clone().all(|score| (-1.0..=1.0).contains(&score)));
    assert_eq!(first["item"], "fn sort(numbers: &mut [i32])");
    assert_eq!(first["vector_rank"], 1);

    let found = json(tree.command("retrieve a URL").args(["--backend", backend, "--top", "1"]));
    assert_eq!(found["embedded"], 0);
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    assert_eq!(found["results"][0]["path"], tree.root().join("src/http.py").display().to_string());
}

#[cfg(feature = "cpu")]
#[test]
fn finds_by_meaning_on_the_cpu() {
    finds_by_meaning("cpu", "cpu");
}

#[cfg(feature = "mlx")]
#[test]
fn finds_by_meaning_on_mlx() {
    let gpu = grad_runtime::mlx::Device::Gpu.is_available().unwrap();
    finds_by_meaning("mlx", if gpu { "mlx on gpu" } else { "mlx on cpu" });
}

#[cfg(feature = "cpu")]
#[test]
fn without_mlx_auto_falls_back_and_mlx_is_an_error() {
    let tree = Tree::new();
    let found = json(tree.command("baking").env("GRAD_MLX_LIBRARY", "off"));
    assert_eq!(found["backend"], "cpu");
    assert_eq!(found["results"][0]["path"], tree.root().join("bread.md").display().to_string());

    let error = failure(tree.command("baking").args(["--backend", "mlx"]).env("GRAD_MLX_LIBRARY", "off"));
    assert!(error.contains("cannot use mlx") || error.contains("built without MLX"), "{error}");
}

#[cfg(all(feature = "cpu", feature = "mlx"))]
#[test]
fn one_index_serves_both_backends() {
    let tree = Tree::new();
    let cpu = json(tree.command("web page").args(["--backend", "cpu"]));
    let mlx = json(tree.command("web page").args(["--backend", "mlx"]));
    assert_eq!((&cpu["embedded"], &mlx["embedded"]), (&3.into(), &0.into()));
    assert_eq!(cpu["results"][0]["path"], mlx["results"][0]["path"]);
}

#[cfg(feature = "cpu")]
mod on_the_cpu {
    use std::path::Path;

    use super::*;

    fn search(tree: &Tree, query: &str) -> Command {
        let mut command = tree.command(query);
        command.args(["--backend", "cpu"]);
        command
    }

    #[test]
    fn text_names_file_lines_and_score() {
        let tree = Tree::new();
        let output = search(&tree, "bake bread").args(["--top", "1"]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().collect::<Vec<_>>();
        assert!(lines[0].starts_with("1. 0."), "{text}");
        assert!(lines[0].ends_with(&format!("{}:1-3  Bread", tree.root().join("bread.md").display())), "{text}");
        assert_eq!(lines[1], "    # Bread");
    }

    #[test]
    fn a_relative_path_stays_relative() {
        let tree = Tree::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_code-search"));
        command.args(["ascending", ".", "src", "--no-index", "--backend", "cpu"]).current_dir(tree.root());
        let found = json(&mut command);
        assert_eq!(found["results"][0]["path"], "src/sort.rs");
        assert!(!tree.indexes().exists());
    }

    #[test]
    fn each_ranking_finds_what_it_is_for() {
        let tree = Tree::new();
        let first = |query: &str, ranking: &str| {
            let found = json(search(&tree, query).args(["--ranking", ranking]));
            let first = found["results"][0].clone();
            let is_null = |key: &str| first[key].is_null();
            (first["path"].as_str().unwrap().to_owned(), is_null("vector_rank"), is_null("word_rank"))
        };
        let path = |file: &str| tree.root().join(file).display().to_string();
        assert_eq!(first("urlopen", "words"), (path("src/http.py"), true, false));
        assert_eq!(first("make pastry", "vectors"), (path("bread.md"), false, true));
        assert_eq!(first("sorting", "hybrid"), (path("src/sort.rs"), false, false));
        assert_eq!(json(search(&tree, "zebra").args(["--ranking", "words"]))["results"], Value::Array(Vec::new()));
    }

    #[test]
    fn a_damaged_index_is_reported_and_rebuilt() {
        let tree = Tree::new();
        json(&mut search(&tree, "bread"));
        let index = tree.indexes().join("index.sqlite");
        let contents = fs::read(&index).unwrap();
        fs::write(&index, &contents[..contents.len() / 2]).unwrap();
        let output = search(&tree, "bread").arg("--json").output().unwrap();
        assert!(output.status.success());
        assert_eq!(
            stderr(&output),
            format!("code-search: rebuilding the index {}: database disk image is malformed\n", index.display())
        );
        let found = serde_json::from_slice::<Value>(&output.stdout).unwrap();
        assert_eq!(found["embedded"], 3);
        assert_eq!(json(&mut search(&tree, "bread"))["embedded"], 0);
    }

    #[test]
    fn index_prepares_what_a_search_uses() {
        let tree = Tree::new();
        let index = |shard: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_code-search"));
            command.arg("index").arg(tree.root()).arg("--store").arg(tree.indexes()).args(["--backend", "cpu"]);
            let output = command.args(["--shard", shard]).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        let shards = [index("1/2"), index("2/2")];
        assert!(shards[1].ends_with("the index has 3 files and 3 passages\n"), "{shards:?}");
        assert_eq!(json(&mut search(&tree, "bread"))["embedded"], 0);
        assert_eq!(
            index("1/1"),
            "0 files changed, 3 unchanged, 0 removed; embedded 0 passages; the index has 3 files and 3 passages\n"
        );
    }

    #[test]
    fn a_watch_follows_changes() {
        use std::io::{BufRead, BufReader};
        use std::process::Stdio;

        let tree = Tree::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_code-search"));
        command.arg("index").arg(tree.root()).arg("--store").arg(tree.indexes()).args([
            "--backend",
            "cpu",
            "--watch",
        ]);
        let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.next().unwrap().starts_with("3 files changed"));
        fs::write(tree.root().join("sea.md"), "Waves and ships.\n").unwrap();
        fs::remove_file(tree.root().join("bread.md")).unwrap();
        let mut last = String::new();
        // The two changes are one or two updates.
        while !last.ends_with("the index has 3 files and 3 passages") || !last.contains("1 removed") {
            last = lines.next().expect("it goes on");
        }
        watching.kill().unwrap();
        watching.wait().unwrap();
        let found = json(search(&tree, "ocean").args(["--top", "1"]));
        assert_eq!(found["embedded"], 0);
        assert_eq!(found["results"][0]["path"], tree.root().join("sea.md").display().to_string());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_from_outside_controls_the_terminal() {
        let tree = Tree::new();
        let evil = "\u{1b}]0;title\u{7}\u{9b}2J\n\u{202e}name";
        fs::write(tree.root().join(format!("{evil}.md")), format!("A {evil} zebra.\r\u{8}\n")).unwrap();
        fs::write(tree.root().join(format!("{evil}.bin")), [0]).unwrap();
        fs::write(tree.root().join(".gitignore"), format!("[z-a]{evil}\n")).unwrap();
        let harmless = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let unprintable = |c: &char| *c != '\n' && grad_examples::printable::is_unprintable(*c);
            assert_eq!(text.chars().find(unprintable), None, "{text:?}");
            text
        };
        for more in [&["--top", "9"][..], &["--json"], &["--model", evil], &["--store", evil, "--device", "gpu"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_code-search"));
            command.arg("zebra").arg(tree.root()).args(["--no-index", "--backend", "cpu"]);
            if more.contains(&"--store") {
                command = Command::new(env!("CARGO_BIN_EXE_code-search"));
                command.arg("zebra").arg(tree.root()).current_dir(tree.0.path());
            }
            let output = command.args(more).output().unwrap();
            harmless(&output.stdout);
            let warnings = harmless(&output.stderr);
            assert!(
                warnings.lines().all(|line| line.starts_with("code-search: ") || !more[0].starts_with("--top")),
                "{warnings}"
            );
        }
        let output = search(&tree, "zebra").arg(tree.root().join(evil)).output().unwrap();
        assert_eq!(harmless(&output.stderr).lines().count(), 1);
        // The name in JSON is the name of the file.
        let found = json(&mut search(&tree, "zebra"));
        assert_eq!(found["results"][0]["path"], tree.root().join(format!("{evil}.md")).display().to_string());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_place_of_a_model_is_an_error() {
        let tree = Tree::new();
        let model = tree.0.path().join("model");
        fs::create_dir(&model).unwrap();
        for name in ["model.safetensors", "tokenizer.json"] {
            assert!(Command::new("mkfifo").arg(model.join(name)).status().unwrap().success());
            let error = failure(search(&tree, "x").arg("--model").arg(&model));
            assert!(error.contains(&format!("{name}: it is not a regular file")), "{error}");
            fs::remove_file(model.join(name)).unwrap();
            let good = grad_examples::model_files::find().unwrap();
            fs::copy(good.join(name), model.join(name)).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_not_text_is_skipped_and_reported() {
        let tree = Tree::new();
        fs::write(tree.root().join("data.bin"), [0; 10]).unwrap();
        let output = search(&tree, "bread").output().unwrap();
        assert!(output.status.success());
        let path = tree.root().join("data.bin");
        assert_eq!(stderr(&output), format!("code-search: skipped {}: binary\n", path.display()));
    }

    #[test]
    fn a_tree_without_text_has_no_results() {
        let tree = Tree::new();
        fs::remove_dir_all(tree.root()).unwrap();
        fs::create_dir(tree.root()).unwrap();
        assert_eq!(json(&mut search(&tree, "bread"))["results"], Value::Array(Vec::new()));
    }

    #[test]
    fn mistakes_are_reported() {
        let tree = Tree::new();
        assert_eq!(
            failure(&mut search(&tree, " ")),
            "code-search: cannot search: the query is empty; name what to look for\n"
        );
        let error = failure(search(&tree, "x").args(["--device", "gpu"]));
        assert_eq!(error, "code-search: cannot use device gpu: the CPU fallback has no GPU; use `--backend mlx`\n");
        let error = failure(search(&tree, "x").arg("no/such/tree"));
        assert!(error.starts_with("code-search: cannot search no/such/tree: "), "{error}");
    }

    #[test]
    fn a_missing_or_damaged_model_is_an_error_that_names_the_file() {
        let tree = Tree::new();
        let model = tree.0.path().join("model");
        let error = failure(search(&tree, "x").arg("--model").arg(&model));
        assert!(
            error.contains(&format!("cannot read the model file {}", model.join("model.safetensors").display())),
            "{error}"
        );

        fs::create_dir(&model).unwrap();
        let good = grad_examples::model_files::find().unwrap();
        fs::copy(good.join("tokenizer.json"), model.join("tokenizer.json")).unwrap();
        let mut weights = fs::read(good.join("model.safetensors")).unwrap();
        *weights.last_mut().unwrap() ^= 1;
        for length in [weights.len(), 1000, 0] {
            fs::write(model.join("model.safetensors"), &weights[..length]).unwrap();
            let error = failure(search(&tree, "x").arg("--model").arg(&model));
            assert!(error.contains("model.safetensors: it is damaged or not that of all-MiniLM-L6-v2"), "{error}");
        }
    }

    #[test]
    fn a_model_that_cannot_be_fetched_is_an_error_that_says_what_to_do() {
        let tree = Tree::new();
        let nowhere = tree.0.path().join("models");
        let error = failure(search(&tree, "x").env("GRAD_MODEL_DIR", &nowhere).env("PATH", Path::new("")));
        assert!(error.contains("cannot fetch the model") && error.contains("install Python 3 with pip"), "{error}");
        assert!(!nowhere.exists());
    }
}
