//! `Detach` for candle's own tensors.

use candle_core::Tensor;

use super::Detach;

/// The tensor loses what it was made from, which is freed where nothing else holds it, and it is no variable. It shares
/// its storage as before.
impl Detach for Tensor {
    fn detach_in_place(&mut self) {
        if self.track_op() {
            *self = self.detach();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, Var};
    use candle_nn::{Linear, Module};

    use crate::no_grad;

    /// A layer with weights that are tracked, and some input.
    fn layer(width: usize) -> Result<(Var, Linear, Tensor)> {
        let weight = Var::from_tensor(&Tensor::full(0.5_f32, (width, width), &Device::Cpu)?)?;
        let linear = Linear::new(weight.as_tensor().clone(), None);
        Ok((weight, linear, Tensor::ones((1, width), DType::F32, &Device::Cpu)?))
    }

    #[test]
    fn no_gradient_flows_through_what_left_a_scope() -> Result<()> {
        #[crate::attr::no_grad(detach, crate = crate)]
        fn target(layer: &Linear, x: &Tensor) -> Result<Tensor> {
            layer.forward(x)
        }
        let (weight, layer, x) = layer(2)?;
        let output = layer.forward(&x)?;
        assert!(no_grad! { layer.forward(&x)? }.track_op(), "candle records whatever the mode is");
        let target = target(&layer, &x)?;
        assert_eq!((target.track_op(), target.to_vec2::<f32>()?), (false, output.to_vec2::<f32>()?));

        // d/dw of the sum of y · target: as if the target were a number.
        let gradients = (&output * &target)?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&weight).expect("a gradient").to_vec2::<f32>()?, [[1.0; 2]; 2]);
        assert!((&target * &target)?.sum_all()?.backward()?.get(&weight).is_none());
        Ok(())
    }

    #[test]
    fn a_weight_that_is_an_argument_is_constant_inside() -> Result<()> {
        #[crate::attr::no_grad(detach(weight), crate = crate)]
        fn forward(weight: &Tensor, x: &Tensor, seen: &mut Vec<Tensor>) -> Result<Tensor> {
            seen.push(weight.matmul(&x.t()?)?);
            seen[0].sum_all()
        }
        let (weight, _, x) = layer(2)?;
        let mut seen = vec![];
        let output = forward(&weight, &x, &mut seen)?;
        assert!(!output.track_op() && !seen[0].track_op());
        assert!(weight.as_tensor().is_variable(), "the caller's own is as it was");
        Ok(())
    }

    /// The identity, which lives as long as what was recorded of it.
    struct Recorded(#[expect(dead_code, reason = "it is counted")] Arc<()>);

    impl CustomOp1 for Recorded {
        fn name(&self) -> &'static str {
            "recorded"
        }

        fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
            Ok((storage.clone(), layout.shape().clone()))
        }
    }

    #[test]
    fn what_is_held_does_not_grow_with_depth() -> Result<()> {
        let (_weight, layer, x) = layer(8)?;
        let step = |x: &Tensor, count: &Arc<()>| layer.forward(x)?.apply_op1(Recorded(Arc::clone(count)));
        let held_after_200_layers = |step: &dyn Fn(&Tensor, &Arc<()>) -> Result<Tensor>| {
            let count = Arc::new(());
            let last = (0..200).try_fold(x.clone(), |x, _| step(&x, &count))?;
            let held = Arc::strong_count(&count) - 1;
            drop(last);
            Ok::<_, candle_core::Error>(held)
        };
        assert_eq!(held_after_200_layers(&step)?, 200, "every layer is held by the next");
        let detached = |x: &Tensor, count: &Arc<()>| no_grad!(detach { step(x, count) });
        assert_eq!(held_after_200_layers(&detached)?, 0);
        Ok(())
    }
}
