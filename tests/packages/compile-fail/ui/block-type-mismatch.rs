#[macro_use]
extern crate grad_runtime;

fn main() {
    let _x: i32 = no_grad! {
        println!("hello");
        "one"
    };
}
