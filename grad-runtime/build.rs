//! Acts with feature `mlx` only: finds MLX, compiles the shim against its headers, and leaves the shim and the
//! version it was built with where `src/mlx/library.rs` embeds them. Without MLX the build succeeds, with a warning,
//! and `Mlx` says why it is unavailable when the program runs.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(mlx_shim)");
    #[cfg(feature = "mlx")]
    mlx::build();
}

#[cfg(feature = "mlx")]
mod mlx {
    use std::env;
    use std::error::Error;
    use std::fmt::Write as _;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    include!("src/mlx/ops.rs");

    const VERSION: &str = "0.32.4";

    type Result<T> = std::result::Result<T, Box<dyn Error>>;

    pub fn build() {
        println!("cargo::rerun-if-changed=src/mlx/ops.rs");
        println!("cargo::rerun-if-changed=src/mlx/shim");
        for variable in ["MLX_DIR", "GRAD_MLX_PACKAGE", "HOMEBREW_PREFIX", "CXX", "CXXFLAGS", "PATH", "PYTHONPATH"]
        {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        match Mlx::find().and_then(|mlx| mlx.build_shim()) {
            Ok(()) => {}
            Err(reason) => {
                // One line: it is a warning of Cargo's, and a message at run time.
                let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
                println!("cargo::warning=built without MLX: {reason}");
                println!("cargo::rustc-env=GRAD_MLX_MISSING={reason}");
                // Look again next time: this never exists, so that Cargo takes it for changed.
                println!("cargo::rerun-if-changed=until-there-is-an-mlx");
            }
        }
    }

    /// An MLX as its wheels and Homebrew lay it out.
    struct Mlx {
        include: PathBuf,
        library: PathBuf,
    }

    impl Mlx {
        fn find() -> Result<Self> {
            if let Some(dir) = env::var_os("MLX_DIR") {
                let dir = PathBuf::from(dir);
                return Self::at(&dir).or_else(|| Self::at(&dir.join("mlx"))).ok_or_else(|| {
                    let (header, library) = (HEADER, library_name());
                    format!("MLX_DIR is {}, where {header} or lib/{library} is missing", dir.display()).into()
                });
            }
            if let Some(mlx) = python_package().iter().find_map(|dir| Self::at(dir)) {
                return Ok(mlx);
            }
            let homebrew = env::var_os("HOMEBREW_PREFIX").map(PathBuf::from);
            let prefixes = ["/opt/homebrew", "/usr/local"].map(PathBuf::from);
            if let Some(mlx) = homebrew.iter().chain(&prefixes).find_map(|dir| Self::at(dir)) {
                return Ok(mlx);
            }
            if cfg!(feature = "download-mlx") {
                let dir = download()?;
                return Self::at(&dir.join("mlx"))
                    .ok_or_else(|| format!("the package in {} has no {HEADER}", dir.display()).into());
            }
            Err("no MLX was found. Install it (`python3 -m pip install mlx-cpu`, `mlx-cuda-13`, or `mlx` on macOS), \
                 or name its folder in MLX_DIR, or build with the feature `download-mlx`"
                .into())
        }

        fn at(dir: &Path) -> Option<Self> {
            let mlx = Self { include: dir.join("include"), library: dir.join("lib").join(library_name()) };
            (dir.join(HEADER).is_file() && mlx.library.is_file()).then_some(mlx)
        }

        fn build_shim(&self) -> Result<()> {
            let out = PathBuf::from(env::var("OUT_DIR")?);
            fs::write(out.join("ops.inc"), operations()?)?;
            let mut compiler = cc::Build::new();
            compiler
                .cpp(true)
                .std("c++20")
                .include(&self.include)
                .include(&out)
                .file("src/mlx/shim/shim.cpp")
                .flag("-fvisibility=hidden")
                .opt_level(2)
                .debug(false)
                .warnings(false) // MLX's headers have theirs.
                .cargo_metadata(false);
            let objects = compiler.try_compile_intermediates()?;
            let shim = out.join("grad_mlx_shim");
            let folder = self.library.parent().expect("a file has a folder");
            let linked = compiler
                .try_get_compiler()?
                .to_command()
                .arg("-shared")
                .args(&objects)
                .arg("-o")
                .arg(&shim)
                .arg("-L")
                .arg(folder)
                .arg("-lmlx")
                .output()?;
            if !linked.status.success() {
                return Err(format!("the shim did not link: {}", String::from_utf8_lossy(&linked.stderr)).into());
            }
            println!("cargo::rerun-if-changed={}", self.library.display());
            println!("cargo::rustc-cfg=mlx_shim");
            println!("cargo::rustc-env=GRAD_MLX_SHIM={}", shim.display());
            println!("cargo::rustc-env=GRAD_MLX_BUILT_WITH={}", self.library.display());
            println!("cargo::rustc-env=GRAD_MLX_VERSION={}", self.version()?);
            Ok(())
        }

        /// The version that the headers state.
        fn version(&self) -> Result<String> {
            let header = fs::read_to_string(self.include.join("mlx/version.h"))?;
            let part = |name| {
                let line = header.lines().find(|line| line.starts_with(&format!("#define MLX_VERSION_{name} ")));
                line.and_then(|line| line.split_whitespace().nth(2))
                    .ok_or_else(|| format!("mlx/version.h defines no MLX_VERSION_{name}"))
            };
            Ok(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
        }
    }

    const HEADER: &str = "include/mlx/mlx.h";

    fn library_name() -> String {
        let macos = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos");
        format!("libmlx.{}", if macos { "dylib" } else { "so" })
    }

    /// Where Python would import `mlx` from. `find_spec` looks it up and runs none of it.
    fn python_package() -> Vec<PathBuf> {
        let program = "import importlib.util as u; s = u.find_spec('mlx'); \
                       print('\\n'.join(s.submodule_search_locations if s else []))";
        let Ok(found) = Command::new("python3").args(["-c", program]).output() else {
            return Vec::new();
        };
        String::from_utf8_lossy(&found.stdout).lines().map(PathBuf::from).collect()
    }

    /// Fetches the wheel with pip, once for each package, into a folder beside Cargo's own.
    fn download() -> Result<PathBuf> {
        let default = match env::var("CARGO_CFG_TARGET_OS").as_deref() {
            Ok("macos") => "mlx-metal", // where macOS keeps the library and its headers; `mlx` is the Python side
            _ => "mlx-cpu",
        };
        let package = env::var("GRAD_MLX_PACKAGE").unwrap_or_else(|_| default.to_owned());
        let package = if package.contains("==") { package } else { format!("{package}=={VERSION}") };
        // OUT_DIR is TARGET/PROFILE/build/PACKAGE-HASH/out.
        let out = PathBuf::from(env::var("OUT_DIR")?);
        let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where Cargo puts it")?;
        let place = target.join(package.replace("==", "-"));
        if place.is_dir() {
            return Ok(place);
        }
        // Under another name until it is whole.
        let unfinished = target.join(format!("{package}.{}", std::process::id()));
        let pip = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .arg(&unfinished)
            .arg(&package)
            .output()
            .map_err(|error| format!("feature `download-mlx` needs `python3 -m pip`: {error}"))?;
        if !pip.status.success() {
            let _ = fs::remove_dir_all(&unfinished);
            let said = String::from_utf8_lossy(&pip.stderr);
            return Err(format!("`python3 -m pip install {package}` failed: {said}").into());
        }
        if let Err(error) = fs::rename(&unfinished, &place) {
            let _ = fs::remove_dir_all(&unfinished);
            // Another build may have been faster.
            if !place.is_dir() {
                return Err(format!("cannot make {}: {error}", place.display()).into());
            }
        }
        Ok(place)
    }

    /// The C++ side of the list of operations: for each a function that calls the one in `ops`.
    fn operations() -> Result<String> {
        macro_rules! list {
            ($($(#[$about:meta])* mod $section:ident {$(
                $(#[$doc:meta])*
                fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty;
            )*})*) => {
                [$($((
                    stringify!($section),
                    stringify!($name),
                    &[$(stringify!($type)),*][..],
                    stringify!($output),
                )),*),*]
            };
        }
        let mut text = String::new();
        for (section, name, arguments, output) in for_each_op!(list) {
            let namespace = match section {
                "shared" | "methods" | "functions" => String::new(),
                module => format!("{module}::"),
            };
            let (answer, make) = match output {
                "Array" => ("array*", "made"),
                _ => ("Arrays*", "made_list"),
            };
            let mut parameters = Vec::new();
            let mut values = Vec::new();
            for (at, kind) in arguments.iter().enumerate() {
                let (parameter, value) = cpp(&format!("argument{at}"), &kind.replace([' ', '\n'], ""))?;
                parameters.push(parameter);
                values.push(value);
            }
            if section == "linalg" {
                values.push("mx::Device(mx::Device::cpu)".into());
            }
            let (parameters, values) = (parameters.join(", "), values.join(", "));
            writeln!(text, "API {answer} grad_mlx_{section}_{name}({parameters}) {{")?;
            writeln!(text, "  return {make}([&] {{ return ops::{namespace}{name}({values}); }});\n}}")?;
        }
        Ok(text)
    }

    /// How an argument called `name` is declared in the shim, and the value that MLX gets.
    fn cpp(name: &str, kind: &str) -> Result<(String, String)> {
        let (declared, value) = match kind {
            "&Array" => ("const array*", format!("*{name}")),
            "Option<&Array>" => ("const array*", format!("to_optional({name})")),
            "&[Array]" => ("List", format!("to_arrays({name})")),
            "bool" => ("bool", name.into()),
            "i32" | "isize" | "usize" => ("int32_t", name.into()),
            "u64" => ("uint64_t", name.into()),
            "f32" => ("float", name.into()),
            "f64" => ("double", name.into()),
            "Option<f32>" => ("const float*", format!("to_optional({name})")),
            "Dtype" => ("int", format!("dtypes[{name}]")),
            "&[usize]" => ("Numbers", format!("to_shape({name})")),
            "&[isize]" => ("Numbers", format!("to_integers({name})")),
            "&[(usize,usize)]" => ("Numbers", format!("to_pairs({name})")),
            "(usize,usize)" => ("Pair", format!("to_pair({name})")),
            "(usize,usize,usize)" => ("Triple", format!("to_triple({name})")),
            "&str" => ("Text", format!("to_text({name})")),
            _ => return Err(format!("build.rs does not know how an argument of type {kind} crosses").into()),
        };
        Ok((format!("{declared} {name}"), value))
    }
}
