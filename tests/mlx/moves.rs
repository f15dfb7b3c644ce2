//! Arrays are stored in place, so that Rust moves MLX's own values.

use grad_runtime::{Dtype, Result, mlx};

/// Each holds its number, and is alive in a list that is moved again and again.
#[test]
fn arrays_survive_the_moves_of_a_vector() -> Result<()> {
    let mut arrays = Vec::new();
    for number in 0..1000_i32 {
        // A vector that grows may stay where it is, if the allocator has room behind it.
        let mut moved = Vec::with_capacity(arrays.len() + 3);
        moved.append(&mut arrays);
        arrays = moved;
        // One is computed, the next is a node of the graph that refers to it, and the one after shares its descriptor.
        let one = mlx::Array::scalar(number)?;
        let node = one.add(0)?;
        arrays.extend([one, node.clone(), node]);
    }
    arrays.reverse();
    arrays.swap(0, 1500);
    mlx::eval(&arrays)?;
    let mut numbers: Vec<i32> = arrays.iter().map(mlx::Array::item).collect::<Result<_>>()?;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..3000).map(|at| at / 3).collect::<Vec<i32>>());
    Ok(())
}

/// The outputs of one operation know each other, and outlive each other, wherever they are.
#[test]
fn outputs_of_one_operation_move_apart() -> Result<()> {
    let x = mlx::Array::arange(0.0, 8.0, 1.0, Dtype::Float32)?;
    let mut parts = x.split(4, 0)?;
    let last = Box::new(parts.pop().expect("there are four"));
    drop(x);
    parts.swap_remove(0);
    assert_eq!(last.to_vec::<f32>()?, [6.0, 7.0]);
    assert_eq!(parts[0].to_vec::<f32>()?, [4.0, 5.0]);
    let (quotient, remainder) = last.divmod(4.0)?;
    let boxed = Box::new(remainder);
    drop(quotient);
    assert_eq!(boxed.to_vec::<f32>()?, [2.0, 3.0]);
    Ok(())
}

#[test]
fn an_array_is_two_pointers() {
    assert_eq!(size_of::<mlx::Array>(), 2 * size_of::<*const ()>());
    assert_eq!(align_of::<mlx::Array>(), align_of::<*const ()>());
}
