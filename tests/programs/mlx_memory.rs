//! Prints the most bytes that MLX holds while 200 operations of 1 MiB each run in a scope inside a transform, for each way in
//! which their results are evaluated. It is a program because MLX counts the memory of the whole process.

use grad_runtime::mlx::{self, Array};
use grad_runtime::{Dtype, Error, Result, no_grad};

const OPERATIONS: usize = 200;
const ELEMENTS: usize = (1 << 20) / size_of::<f32>();

/// Uses the result of one operation.
type Use = fn(&Array) -> Result<()>;

const USES: [(&str, Use); 4] = [
    ("not evaluated", |_| Ok(())),
    ("evaluated", Array::eval),
    ("evaluated together with another", |x| mlx::eval(&[x.clone(), x.negative()?])),
    ("read", |x| x.sum_all()?.item::<f32>().map(drop)),
];

fn main() -> Result<()> {
    for (name, use_result) in USES {
        let x = Array::ones(&[ELEMENTS], Dtype::Float32)?;
        x.eval()?;
        mlx::reset_peak_memory()?;
        let before = mlx::active_memory()?;
        let gradients = Array::grad(
            |x| {
                let target = no_grad! {
                    (0..OPERATIONS).try_fold(x[0].clone(), |y, _| {
                        let y = y.sin()?.add(&x[0])?;
                        use_result(&y)?;
                        Ok::<_, Error>(y)
                    })?
                };
                x[0].multiply(&target)?.sum_all()
            },
            &[x],
        )?;
        mlx::eval(&gradients)?;
        println!("{name}: {}", mlx::peak_memory()? - before);
    }
    Ok(())
}
