//! Writes the C++ side of src/abi.rs and src/ops.rs.

use std::fmt::{self, Write as _};
use std::iter;

use crate::abi;

const NOTE: &str = "// Written by build/bindings.rs from src/abi.rs and src/ops.rs.";

/// The prefix of the shim's functions.
const PREFIX: &str = "grad_mlx_";

/// Returns the header that declares the interface.
pub fn header() -> Result<String, fmt::Error> {
    let mut text = String::new();
    writeln!(text, "{NOTE}\n#pragma once")?;
    for include in
        ["<cstddef>", "<cstdint>", "<functional>", "<memory>", "<type_traits>", "<vector>", "\"mlx/mlx.h\""]
    {
        writeln!(text, "#include {include}")?;
    }
    array_type(&mut text)?;
    for (name, cpp) in abi::OPAQUE_TYPES {
        writeln!(text, "using {name} = {cpp};")?;
    }
    writeln!(text, "namespace abi {{")?;
    let dtypes: Vec<_> = abi::DTYPES.iter().map(|dtype| (dtype.name, dtype.number)).collect();
    for (name, variants) in abi::ENUMS.iter().copied().chain([("Dtype", &*dtypes)]) {
        let variants = join(", ", variants.iter().map(|(name, number)| format!("{name} = {number}")));
        writeln!(text, "enum class {name} : int32_t {{ {variants} }};")?;
    }
    for (name, _) in abi::STRUCTS {
        writeln!(text, "struct {name};")?;
    }
    for (name, parameters, output) in abi::FUNCTION_TYPES {
        writeln!(text, "using {name} = {output} (*)({});", parameters.join(", "))?;
    }
    for (name, fields) in abi::STRUCTS {
        let fields = join(" ", fields.iter().map(|(kind, field)| format!("{kind} {field};")));
        writeln!(text, "struct {name} {{ {fields} }};")?;
    }
    writeln!(text, "}} // namespace abi")?;
    dtypes_of_mlx(&mut text)?;
    // Hidden, so that the linker refuses a shim that lacks one.
    writeln!(text, "#pragma GCC visibility push(hidden)")?;
    for abi::FunctionInCpp { name, parameters, output } in abi::FUNCTIONS {
        let parameters = join(", ", parameters.iter().map(|(kind, name)| format!("{kind} {name}")));
        writeln!(text, "extern \"C\" {output} {PREFIX}{name}({parameters}) noexcept;")?;
    }
    for operation in abi::OPERATIONS {
        writeln!(text, "extern \"C\" {} noexcept;", signature(operation))?;
    }
    writeln!(text, "#pragma GCC visibility pop")?;
    // The compiler takes the type of each function from its declaration.
    writeln!(text, "namespace abi {{\nstruct Api {{\n  size_t array_size;\n  size_t array_align;")?;
    for name in function_names() {
        writeln!(text, "  decltype(&{PREFIX}{name}) {name};")?;
    }
    writeln!(text, "}};\n}} // namespace abi")?;
    Ok(text)
}

/// Writes the name of MLX's arrays, and checks what Rust relies on to store and to move them.
fn array_type(text: &mut String) -> fmt::Result {
    writeln!(text, "using Array = {};", abi::ARRAY_IN_CPP)?;
    // The two pointers of the type in Rust, and nothing beside the one shared pointer.
    for other in ["void*[2]", "std::shared_ptr<void>"] {
        writeln!(text, "static_assert(sizeof(Array) == sizeof({other}) && alignof(Array) == alignof({other}));")?;
    }
    writeln!(text, "static_assert(!std::is_polymorphic_v<Array>);")
}

/// Writes a macro that lists the dtypes with MLX's names, and checks them against MLX.
fn dtypes_of_mlx(text: &mut String) -> fmt::Result {
    write!(text, "#define FOR_EACH_DTYPE(X)")?;
    for abi::DtypeInCpp { name, number, mlx, element, .. } in abi::DTYPES {
        write!(text, " \\\n  X({name}, {number}, mlx::core::{mlx}, {element})")?;
    }
    writeln!(text)?;
    for (at, abi::DtypeInCpp { name, number, mlx, element, size }) in abi::DTYPES.iter().enumerate() {
        // The shim takes the number for the position in this list.
        writeln!(text, "static_assert(static_cast<int32_t>(abi::Dtype::{name}) == {number} && {number} == {at});")?;
        writeln!(text, "static_assert(sizeof({element}) == {size} && mlx::core::{mlx}.size() == {size});")?;
    }
    Ok(())
}

/// Returns the functions of the operations, and the table of all functions.
pub fn operations() -> Result<String, fmt::Error> {
    let mut text = String::new();
    writeln!(text, "{NOTE}")?;
    for operation in abi::OPERATIONS {
        let abi::OperationInCpp { kind, section, name, arguments, from_mlx, .. } = operation;
        let namespace = if *kind == "module" { format!("{section}::") } else { String::new() };
        let arguments = arguments.iter().enumerate();
        let values = join(", ", arguments.map(|(at, (_, to_mlx))| format!("{to_mlx}(argument{at})")));
        writeln!(text, "extern \"C\" {} noexcept {{", signature(operation))?;
        writeln!(text, "  return {from_mlx}(output, [&] {{ return ops::{namespace}{name}({values}); }});\n}}")?;
    }
    writeln!(text, "extern \"C\" __attribute__((visibility(\"default\"))) const abi::Api {PREFIX}api = {{")?;
    writeln!(text, "  sizeof(Array), alignof(Array),")?;
    for name in function_names() {
        writeln!(text, "  {PREFIX}{name},")?;
    }
    writeln!(text, "}};")?;
    Ok(text)
}

fn signature(operation: &abi::OperationInCpp) -> String {
    let abi::OperationInCpp { section, name, arguments, output, .. } = operation;
    let arguments = arguments.iter().enumerate().map(|(at, (kind, _))| format!("{kind} argument{at}"));
    let parameters = join(", ", iter::once(format!("{output} output")).chain(arguments));
    format!("bool {PREFIX}{section}_{name}({parameters})")
}

/// Returns the names of all functions, without the prefix, in the order of Rust's `Api`.
fn function_names() -> impl Iterator<Item = String> {
    let operations = abi::OPERATIONS.iter().map(|operation| format!("{}_{}", operation.section, operation.name));
    abi::FUNCTIONS.iter().map(|function| function.name.to_owned()).chain(operations)
}

fn join(separator: &str, parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(separator)
}
