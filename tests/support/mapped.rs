//! Functions that `vmap` maps.

use grad_runtime::Result;
use grad_runtime::mlx::{self, Array as Mlx};

use crate::arrays::{array, elements};
use crate::derivatives::{Function, derivative, forward};
use crate::gradients::weighted_sum;

type Derived = fn(Function<Mlx>, &[Mlx]) -> Result<Vec<Mlx>>;

const VALUE: (&str, Derived) = ("value", |function, x| Ok(vec![function(x)?]));

const DERIVATIVES: [(&str, Derived); 4] = [
    ("gradient", |function, x| Mlx::grad(|x| weighted_sum(&function(x)?), x)),
    ("jvp", |function, x| Ok(vec![forward(function, x)?])),
    ("second derivative", |function, x| Mlx::grad(|x| derivative(function, 1, x), x)),
    ("gradient of the jvp", |function, x| Mlx::grad(|x| weighted_sum(&forward(function, x)?), x)),
];

/// Calls of a function of which some operands differ.
struct Calls {
    operands: Vec<Vec<Mlx>>,
    /// The operands of one mapped call: those that differ are stacked along these axes.
    stacked: Vec<Mlx>,
    axes: Vec<Option<isize>>,
}

impl Calls {
    fn new(operands: &[Mlx], axes: Vec<Option<isize>>) -> Self {
        // The elements of an operand in other orders.
        let vary = |operand: &Mlx, call: usize| {
            let mut all = elements(operand);
            let len = all.len().max(1);
            all.rotate_left(call % len);
            let factor = [1.0, 0.875, 0.75][call];
            let scaled: Vec<f32> = all.into_iter().map(|element| factor * element).collect();
            array(&scaled, &operand.shape())
        };
        let operands_of = |call: usize| {
            let both = operands.iter().zip(&axes);
            both.map(|(operand, axis)| if axis.is_some() { vary(operand, call) } else { operand.clone() }).collect()
        };
        let calls: Vec<Vec<Mlx>> = (0..3).map(operands_of).collect();
        let stack = |(at, axis): (usize, &Option<isize>)| match *axis {
            Some(over) => {
                let each: Vec<Mlx> = calls.iter().map(|call| call[at].clone()).collect();
                mlx::stack(&each, over).unwrap()
            }
            None => operands[at].clone(),
        };
        Self { stacked: axes.iter().enumerate().map(stack).collect(), operands: calls, axes }
    }

    /// Returns how the mapped call differs from these calls, stacked.
    fn check(&self, function: &dyn Fn(&[Mlx]) -> Result<Vec<Mlx>>) -> Result<(), String> {
        let one_by_one: Vec<Vec<Mlx>> = self.operands.iter().map(|call| function(call).unwrap()).collect();
        let out_axes = vec![0; one_by_one[0].len()];
        let mapped =
            mlx::vmap(function, &self.stacked, &self.axes, &out_axes).map_err(|error| error.to_string())?;
        for (at, found) in mapped.iter().enumerate() {
            let each: Vec<Mlx> = one_by_one.iter().map(|outputs| outputs[at].clone()).collect();
            let expected = mlx::stack(&each, 0).unwrap();
            let is_close = |(a, b): (&f32, &f32)| {
                (a - b).abs() <= 2e-4 * a.abs().max(b.abs()).max(1.0) || a.is_nan() && b.is_nan()
            };
            let are_close = elements(found).iter().zip(&elements(&expected)).all(is_close);
            if (found.shape(), found.dtype()) != (expected.shape(), expected.dtype()) || !are_close {
                return Err(format!("{found:?} {:?}, not {:?}", elements(found), elements(&expected)));
            }
        }
        Ok(())
    }
}

/// Returns the axes to map over: each of each operand alone, and the first and the last of several.
fn choices_of_axes(operands: &[Mlx]) -> Vec<Vec<Option<isize>>> {
    let ndim = |operand: &Mlx| isize::try_from(operand.shape().len()).unwrap();
    let mut all = Vec::new();
    for subset in 1_u32..1 << operands.len() {
        let over = |axis: &dyn Fn(&Mlx) -> isize| {
            let with_axis = |(at, operand)| (subset >> at & 1 == 1).then(|| axis(operand));
            operands.iter().enumerate().map(with_axis).collect::<Vec<_>>()
        };
        if subset.is_power_of_two() {
            let only = &operands[subset.trailing_zeros() as usize];
            all.extend((0..=ndim(only)).map(|axis| over(&|_| axis)));
        } else {
            all.extend([over(&|_| 0), over(&ndim)]);
        }
    }
    all
}

#[track_caller]
fn assert_all(derived: &[(&str, Derived)], function: Function<Mlx>, operands: &[Mlx]) {
    let mut failures = Vec::new();
    for axes in choices_of_axes(operands) {
        let calls = Calls::new(operands, axes);
        for (name, derive) in derived {
            if let Err(failure) = calls.check(&|x| derive(function, x)) {
                failures.push(format!("the {name} over {:?}: {failure}", calls.axes));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Asserts that a function, mapped over each axis of each operand and over several operands, returns what calls one by one
/// return, stacked.
///
/// # Panics
///
/// If it does not, or fails.
#[track_caller]
pub fn assert_value_mapped(function: Function<Mlx>, operands: &[Mlx]) {
    assert_all(&[VALUE], function, operands);
}

/// As [`assert_value_mapped`], also of the function's derivatives of first and second order in both modes.
///
/// # Panics
///
/// If the results differ, or the function fails.
#[track_caller]
pub fn assert_mapped(function: Function<Mlx>, operands: &[Mlx]) {
    assert_value_mapped(function, operands);
    assert_all(&DERIVATIVES, function, operands);
}
