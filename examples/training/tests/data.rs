//! Data sets of folders: which passages they take, and which files they leave out.
#![cfg(feature = "backend")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use grad_examples::model_files::find;
use grad_examples::tokenize::Tokenizer;
use training::data::{self, DataSet, Size};

fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(&fs::read(find().unwrap().join("tokenizer.json")).unwrap()).unwrap()
}

/// Returns the text of a file with four passages, each with a word of its own.
fn text(word: &str) -> String {
    (0..48).fold(String::new(), |mut text, line| {
        writeln!(text, "let {word} = function_of_the_line(number);  // {line}").unwrap();
        text
    })
}

fn write(path: &Path, contents: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

/// Two classes of four files, and files that are to be left out.
fn folders() -> (tempfile::TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let folders = ["one", "two"].map(|class| root.path().join(class));
    for folder in &folders {
        for word in ["apple", "bread", "cream", "dates"] {
            write(&folder.join(format!("{word}.rs")), text(word));
        }
        write(&folder.join("binary.rs"), text("zebra").replace("line", "\0"));
        write(&folder.join("latin1.rs"), [text("zebra").as_bytes(), b"\xe9"].concat());
        write(&folder.join("large.rs"), text("zebra").repeat(1000));
        write(&folder.join("image.png"), text("zebra"));
        write(&folder.join(".hidden/file.rs"), text("zebra"));
        write(&folder.join("short.rs"), "fn zebra() {}\n".repeat(11));
    }
    (root, folders.to_vec())
}

const SIZE: Size = Size { training: 100, validation: 100, tokens: 20 };

#[test]
fn passages_of_a_file_are_all_for_training_or_all_for_validation() {
    let (root, _) = folders();
    #[cfg(unix)]
    {
        // Reading it would wait forever.
        let made = std::process::Command::new("mkfifo").arg(root.path().join("one/pipe.rs")).status().unwrap();
        assert!(made.success());
    }
    let tokenizer = tokenizer();
    let sources = data::folders(&[root.path().to_owned()]).unwrap();
    assert_eq!(sources.iter().map(|source| &*source.name).collect::<Vec<_>>(), ["one", "two"]);
    let data = DataSet::read(&sources, &tokenizer, SIZE, 7).unwrap();
    assert_eq!(data.classes, ["one", "two"]);
    // Three files of four passages for training, one for validation, in each class.
    assert_eq!((data.training.len(), data.validation.len()), (2 * 12, 2 * 4));

    let token = |word: &str| tokenizer.tokens(&[word]).unwrap()[0][1];
    let words = ["apple", "bread", "cream", "dates", "zebra"].map(token);
    for class in 0..2 {
        let files = |examples: &[data::Example]| {
            let examples = examples.iter().filter(|example| example.class == class);
            words.map(|word| examples.clone().filter(|example| example.tokens.contains(&word)).count())
        };
        let (training, validation) = (files(&data.training), files(&data.validation));
        assert_eq!((training[4], validation[4]), (0, 0), "a file was not left out");
        for (training, validation) in training.iter().zip(validation).take(4) {
            assert!(matches!((*training, validation), (4, 0) | (0, 4)), "{training} {validation}");
        }
    }
    let separator = token("[SEP]");
    for example in data.training.iter().chain(&data.validation) {
        assert!(example.tokens.len() == 20 && example.tokens[19] == separator, "{example:?}");
    }

    assert_eq!(data, DataSet::read(&sources, &tokenizer, SIZE, 7).unwrap());
    let other = DataSet::read(&sources, &tokenizer, SIZE, 8).unwrap();
    assert_ne!(data.fingerprint(), other.fingerprint());
    let small = DataSet::read(&sources, &tokenizer, Size { training: 5, validation: 2, tokens: 3 }, 7).unwrap();
    assert_eq!((small.training.len(), small.validation.len(), small.training[0].tokens.len()), (10, 4, 3));
}

#[test]
fn folders_that_make_no_classes_are_errors() {
    let (root, folders) = folders();
    let error = |paths: &[PathBuf]| format!("{:#}", data::folders(paths).unwrap_err());
    assert!(error(&[root.path().join("missing\u{1b}[2J")]).contains(r"cannot read the folder"));
    assert!(!error(&[root.path().join("missing\u{1b}[2J")]).contains('\u{1b}'));
    assert!(error(&[folders[0].clone(), root.path().join("mis\nsing")]).contains(r"mis\nsing"));
    let alone = error(&folders[..1]);
    assert!(alone.starts_with("cannot make classes: there are 0 folders"), "{alone}");

    let empty = root.path().join("three");
    write(&empty.join("one-file.rs"), text("alone"));
    let sources = data::folders(&[folders[0].clone(), empty]).unwrap();
    let error = DataSet::read(&sources, &tokenizer(), SIZE, 0).unwrap_err().to_string();
    assert!(error.starts_with("cannot use class three: fewer than two of its files"), "{error}");
}

/// Names become labels of plots and lines of tables, so they have no control characters.
#[cfg(unix)]
#[test]
fn names_of_classes_are_printable() {
    let root = tempfile::tempdir().unwrap();
    let paths = ["a/x\u{1b}[31m\n", "b/x\u{1b}[31m\n", "c/\u{202e}y"].map(|name| root.path().join(name));
    for path in &paths {
        fs::create_dir_all(path).unwrap();
    }
    let names = data::folders(&paths).unwrap().into_iter().map(|source| source.name).collect::<Vec<_>>();
    assert_eq!((&*names[0], &*names[2]), (r"x\u{1b}[31m\n", r"\u{202e}y"));
    assert!(names[1].ends_with(r"/b/x\u{1b}[31m\n"), "{names:?}");
}

#[test]
fn the_default_classes_are_found() {
    let sources = data::crates().unwrap();
    assert_eq!(sources.len(), data::CRATES.len());
    assert!(sources.iter().all(|source| source.path.join("lib.rs").exists()), "{sources:?}");
}
