//! Does nothing. Cargo accepts the key `links`, which keeps a program from having two grad modes, only beside a build script.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
