use grad_runtime::Params;

#[derive(Params)]
pub union Bits {
    pub float: f32,
    pub integer: u32,
}

fn main() {}
