//! Chooses the syntax of a file by its name.

use std::path::Path;

use tree_sitter::Language;

/// How a file is split into passages.
pub enum Syntax {
    /// At the nodes of a syntax tree.
    Code(Language),
    /// At headings, blocks and sentences.
    Markdown,
    /// At lines.
    Lines,
}

/// Returns the syntax of a file.
#[must_use]
pub fn of(path: &str) -> Syntax {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let language = match extension.to_ascii_lowercase().as_str() {
        "rs" => tree_sitter_rust::LANGUAGE,
        "py" | "pyi" => tree_sitter_python::LANGUAGE,
        // The grammar of C++ covers nearly all of C, CUDA and Metal.
        "c" | "h" | "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" | "ipp" | "cu" | "cuh" | "metal" => {
            tree_sitter_cpp::LANGUAGE
        }
        "ts" | "mts" | "cts" => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
        "tsx" => tree_sitter_typescript::LANGUAGE_TSX,
        "js" | "mjs" | "cjs" | "jsx" => tree_sitter_javascript::LANGUAGE,
        "go" => tree_sitter_go::LANGUAGE,
        "java" => tree_sitter_java::LANGUAGE,
        "md" | "markdown" => return Syntax::Markdown,
        _ => return Syntax::Lines,
    };
    Syntax::Code(language.into())
}
