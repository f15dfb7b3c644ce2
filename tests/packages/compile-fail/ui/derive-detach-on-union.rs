use grad_runtime::Detach;

#[derive(Detach)]
pub union Bits {
    pub float: f32,
    pub integer: u32,
}

fn main() {}
