//! `Detach` for candle's tensors.

use candle_core::Tensor;

use super::Detach;

/// Drops the tensor's reference to the operation that computed it, and makes a variable a plain tensor. The storage stays shared.
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

    /// Returns a weight variable, a layer that uses it, and an input.
    fn layer(width: usize) -> Result<(Var, Linear, Tensor)> {
        let weight = Var::from_tensor(&Tensor::full(0.5_f32, (width, width), &Device::Cpu)?)?;
        let linear = Linear::new(weight.as_tensor().clone(), None);
        Ok((weight, linear, Tensor::ones((1, width), DType::F32, &Device::Cpu)?))
    }

    #[test]
    fn no_gradient_flows_through_a_result_that_left_a_scope() -> Result<()> {
        #[crate::attr::no_grad(detach, crate = crate)]
        fn target(layer: &Linear, x: &Tensor) -> Result<Tensor> {
            layer.forward(x)
        }
        let (weight, layer, x) = layer(2)?;
        let output = layer.forward(&x)?;
        assert!(no_grad! { layer.forward(&x)? }.track_op(), "candle records whatever the mode is");
        let target = target(&layer, &x)?;
        assert_eq!((target.track_op(), target.to_vec2::<f32>()?), (false, output.to_vec2::<f32>()?));

        // d/dw of the sum of y · target, where the target is a constant.
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
        assert!(weight.as_tensor().is_variable(), "the caller's weight is unchanged");
        Ok(())
    }

    /// The identity function, counted as long as the graph holds it.
    struct Recorded(#[expect(dead_code, reason = "its references are counted")] Arc<()>);

    impl CustomOp1 for Recorded {
        fn name(&self) -> &'static str {
            "recorded"
        }

        fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
            Ok((storage.clone(), layout.shape().clone()))
        }
    }

    #[test]
    fn memory_does_not_grow_with_depth() -> Result<()> {
        let (_weight, layer, x) = layer(8)?;
        let step = |x: &Tensor, count: &Arc<()>| layer.forward(x)?.apply_op1(Recorded(Arc::clone(count)));
        let held_after_200_layers = |step: &dyn Fn(&Tensor, &Arc<()>) -> Result<Tensor>| {
            let count = Arc::new(());
            let last = (0..200).try_fold(x.clone(), |x, _| step(&x, &count))?;
            let held = Arc::strong_count(&count) - 1;
            drop(last);
            Ok::<_, candle_core::Error>(held)
        };
        assert_eq!(held_after_200_layers(&step)?, 200, "each layer's output holds the layer before");
        let detached = |x: &Tensor, count: &Arc<()>| no_grad!(detach { step(x, count) });
        assert_eq!(held_after_200_layers(&detached)?, 0);
        Ok(())
    }
}
