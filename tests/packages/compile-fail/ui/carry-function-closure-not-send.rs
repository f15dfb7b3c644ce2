use std::rc::Rc;

fn main() {
    let held = Rc::new(1);
    std::thread::spawn(grad_runtime::carry(move || *held));
}
