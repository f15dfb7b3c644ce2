use grad_runtime::prelude::*;

pub trait Layer {
    #[inference_mode]
    fn forward(&self, x: f32) -> f32;
}

pub struct Identity;

impl Layer for Identity {
    fn forward(&self, x: f32) -> f32 {
        x
    }
}

fn main() {}
