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
        command.arg(query).arg(self.root()).arg("--index").arg(self.indexes());
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
    assert!(scores.clone().count() == 3 && scores.is_sorted_by(|a, b| a >= b));

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
        assert!(lines[0].ends_with(&format!("{}:1-3", tree.root().join("bread.md").display())), "{text}");
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
    fn a_damaged_index_is_reported_and_rebuilt() {
        let tree = Tree::new();
        json(&mut search(&tree, "bread"));
        let index = fs::read_dir(tree.indexes()).unwrap().next().unwrap().unwrap().path();
        let contents = fs::read(&index).unwrap();
        fs::write(&index, &contents[..contents.len() - 5]).unwrap();
        let output = search(&tree, "bread").arg("--json").output().unwrap();
        assert!(output.status.success());
        assert_eq!(
            stderr(&output),
            format!("code-search: rebuilding the index {}: it is damaged or truncated\n", index.display())
        );
        let found = serde_json::from_slice::<Value>(&output.stdout).unwrap();
        assert_eq!(found["embedded"], 3);
        assert_eq!(json(&mut search(&tree, "bread"))["embedded"], 0);
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
