//! Generates a tree of Rust files that look like real ones to a splitter and to an index of words.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use code_search::passages;

/// The number of different words. A few of them are in most functions and most of them in few, as in real sources.
const VOCABULARY: f64 = 20_000.0;
const SYLLABLES: [&str; 32] = [
    "ar", "ba", "co", "da", "el", "fi", "ga", "ho", "in", "jo", "ka", "le", "mo", "ni", "or", "pa", "qui", "re",
    "so", "ta", "un", "ve", "wi", "xe", "yo", "ze", "der", "lin", "mar", "pos", "ran", "ter",
];
const FILES_IN_A_FOLDER: usize = 20;

/// The same numbers in each run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number from 0 to 1.
    pub fn uniform(&mut self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
        let uniform = (self.next() >> 8) as f32 / (1 << 24) as f32;
        uniform
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 32).expect("32 bits are left")
    }

    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    /// Returns a word. The word of rank r is drawn about as often as Zipf's law says, in proportion to 1/r.
    fn word(&mut self) -> String {
        let uniform = f64::from(self.next()) / f64::from(u32::MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 1 to the vocabulary's size"
        )]
        let mut rank = VOCABULARY.powf(uniform) as usize;
        let mut word = String::new();
        while rank > 0 {
            word.push_str(SYLLABLES[rank % SYLLABLES.len()]);
            rank /= SYLLABLES.len();
        }
        word
    }

    fn name(&mut self) -> String {
        format!("{}_{}", self.word(), self.word())
    }

    fn type_name(&mut self) -> String {
        let mut name = String::new();
        for _ in 0..2 {
            let word = self.word();
            name.push_str(&word[..1].to_uppercase());
            name.push_str(&word[1..]);
        }
        name
    }

    fn sentence(&mut self) -> String {
        let words = (0..8 + self.below(8)).map(|_| self.word()).collect::<Vec<_>>();
        format!("Returns the {} of a {}", words[0], words[1..].join(" "))
    }

    /// Returns a query as a user would write it.
    pub fn query(&mut self) -> String {
        format!("return the {} of {} {}", self.word(), self.word(), self.name())
    }

    fn function(&mut self) -> String {
        let [name, argument, limit, item, field, method] = std::array::from_fn(|_| self.name());
        let [kind, result, error] = std::array::from_fn(|_| self.type_name());
        let (doc, number) = (self.sentence(), self.below(1000));
        match self.below(3) {
            0 => format!(
                "    /// {doc}.\n    pub fn {name}(&self, {argument}: &{kind}, {limit}: usize) -> Result<{result}> {{\n        \
                 let mut {item} = Vec::with_capacity({limit});\n        \
                 for (index, {field}) in self.{field}.iter().enumerate() {{\n            \
                 if {field}.{method}() > {limit} + {number} {{\n                \
                 return Err({error}::new(index).into());\n            }}\n            \
                 {item}.push({field}.{method}({argument})?);\n        }}\n        \
                 Ok({result}::from({item}))\n    }}\n"
            ),
            1 => format!(
                "    /// {doc}.\n    pub fn {name}(&mut self, {argument}: {kind}) -> Option<&{result}> {{\n        \
                 let {item} = self.{field}.get_mut(&{argument})?;\n        \
                 // {}.\n        \
                 {item}.{method} = {item}.{method}.saturating_add({number});\n        \
                 self.{limit}.insert({argument}, {error}::default());\n        \
                 Some(&{item}.{limit})\n    }}\n",
                self.sentence()
            ),
            _ => format!(
                "    fn {name}({argument}: &[{kind}]) -> impl Iterator<Item = {result}> {{\n        \
                 {argument}.iter().filter(|{item}| {item}.{field} != {number}).map(|{item}| match {item}.{method}() {{\n            \
                 {kind}::{error} => {result}::{error},\n            _ => {result}::default(),\n        }})\n    }}\n"
            ),
        }
    }

    fn file(&mut self) -> String {
        let [name, other] = std::array::from_fn(|_| self.type_name());
        let mut text = format!("//! {}.\n\nuse crate::{}::{other};\n\n", self.sentence(), self.name());
        let _ =
            writeln!(text, "/// {}.\npub struct {name} {{\n    {}: {other},\n}}\n", self.sentence(), self.name());
        let _ = writeln!(text, "impl {name} {{");
        for _ in 0..6 + self.below(14) {
            text.push_str(&self.function());
            text.push('\n');
        }
        text.push_str("}\n");
        text
    }
}

/// A tree that was generated.
pub struct Sources {
    pub files: Vec<PathBuf>,
    pub bytes: usize,
    pub random: Random,
}

impl Sources {
    /// Writes files into `root` until they have at least `count` passages.
    pub fn write(root: &Path, count: usize) -> Result<Self> {
        let mut sources = Self { files: Vec::new(), bytes: 0, random: Random::new(1) };
        let mut passages = 0;
        while passages < count {
            let number = sources.files.len();
            let folder = root.join(format!("{}_{}/src", sources.random.word(), number / FILES_IN_A_FOLDER));
            let path = folder.join(format!("{}_{number}.rs", sources.random.word()));
            let text = sources.random.file();
            passages += passages::split("sources.rs", &text).len();
            sources.bytes += text.len();
            fs::create_dir_all(&folder)?;
            write(&path, &text)?;
            sources.files.push(path);
        }
        Ok(sources)
    }

    /// Adds a function to a file in the middle of the tree.
    pub fn change_one_file(&mut self) -> Result<()> {
        let path = &self.files[self.files.len() / 2];
        let text = format!("{}\nimpl Added {{\n{}}}\n", fs::read_to_string(path)?, self.random.function());
        write(path, &text)
    }
}

/// Writes a file that has not been modified lately: a time stamp of the last seconds says nothing.
fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    File::options().write(true).open(path)?.set_modified(SystemTime::now() - Duration::from_secs(60))?;
    Ok(())
}
