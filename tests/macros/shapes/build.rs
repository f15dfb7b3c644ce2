//! Generates the shapes for the second and the third way to import, as `$OUT_DIR/<way>/<shape>.rs`.
//!
//! The ways differ in the source, `#[no_grad]` or `#[grad_runtime::attr::no_grad]`. A macro that turned one into the other would
//! change the hygiene of the functions. So the files beside this one use the first way, and the others are generated from them.

use std::path::Path;
use std::{env, fs, io};

const NAMES: [&str; 4] = ["no_grad", "enable_grad", "set_grad_enabled", "inference_mode"];

/// The characters before a block macro in a shape.
const BEFORE_A_BLOCK: [&str; 2] = [" ", "("];

/// The import of the first way.
const IMPORT: &str = "\nuse grad_runtime::prelude::*;\n";

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).ok_or_else(|| io::Error::other(format!("cargo sets {name}")));
    let (package, out) = (variable("CARGO_MANIFEST_DIR")?, variable("OUT_DIR")?);
    let shapes = Path::new(&package).ancestors().map(|folder| folder.join("macros/shapes")).find(|it| it.is_dir());
    let shapes = shapes.ok_or_else(|| io::Error::other("the shapes are in tests/macros/shapes"))?;
    println!("cargo::rerun-if-changed={}", shapes.display());

    for (way, by_attribute) in [("attribute_by_name", true), ("block_by_name", false)] {
        let folder = Path::new(&out).join(way);
        fs::create_dir_all(&folder)?;
        for shape in fs::read_dir(&shapes)? {
            let shape = shape?.path();
            let text = fs::read_to_string(&shape)?;
            if let (Some(file), true) = (shape.file_name(), text.contains(IMPORT)) {
                let text = if by_attribute { attribute_by_name(text) } else { block_by_name(text) };
                let name = shape.with_extension("");
                let name = name.file_name().unwrap_or_default().display();
                fs::write(folder.join(file), format!("mod {name} {{\n{text}}}\n"))?;
            }
        }
    }
    Ok(())
}

/// `use grad_runtime::attr::no_grad;`, `#[no_grad]`, `grad_runtime::no_grad! { … }`.
fn attribute_by_name(mut text: String) -> String {
    let mut imports = vec![];
    for name in NAMES {
        if text.contains(&format!("#[{name}")) {
            imports.push(format!("use grad_runtime::attr::{name};\n"));
        }
        for before in BEFORE_A_BLOCK {
            text = text.replace(&format!("{before}{name}!"), &format!("{before}grad_runtime::{name}!"));
        }
    }
    text.replacen(IMPORT, &format!("\n{}", imports.concat()), 1)
}

/// `use grad_runtime::no_grad;`, `#[grad_runtime::attr::no_grad]`, `no_grad! { … }`, `no_grad()`.
fn block_by_name(mut text: String) -> String {
    let mut imports = vec![];
    for name in NAMES {
        let guard = format!("grad_runtime::{name}(");
        let has_block = BEFORE_A_BLOCK.iter().any(|before| text.contains(&format!("{before}{name}!")));
        if has_block || text.contains(&guard) {
            imports.push(format!("use grad_runtime::{name};\n"));
        }
        text = text.replace(&guard, &format!("{name}("));
        text = text.replace(&format!("#[{name}"), &format!("#[grad_runtime::attr::{name}"));
    }
    text.replacen(IMPORT, &format!("\n{}", imports.concat()), 1)
}
