use grad_runtime::carry;

fn main() {
    let _job = carry(|x: u8| x + 1);
}
