//! Checks and measures collectives among the processes that the variables of MLX name. Rank 0 prints.
//!
//! ```text
//! mlx-collectives correct          values, gradients and disagreements, of the collectives that the backend has
//! mlx-collectives latency COUNT    the time of an `all_sum` of one number
//! mlx-collectives bandwidth MIB    the rate of an `all_sum` of so many MiB
//! ```
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ranks and the numbers made of them are small"
)]
#![allow(clippy::float_cmp, reason = "the values are exact")]

use std::time::Instant;

use grad_runtime::mlx::Array;
use grad_runtime::mlx::distributed::{self, Backend, Check, ErrorKind, Group, InitOptions};
use grad_runtime::{Dtype, Error, Result, no_grad};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["correct"] => correct(),
        ["latency", count] => latency(count.parse().expect("a number")),
        ["bandwidth", mebibytes] => bandwidth(mebibytes.parse().expect("a number")),
        _ => panic!("it takes `correct`, `latency COUNT` or `bandwidth MIB`"),
    }
}

fn say(group: &Group, text: impl FnOnce() -> String) {
    if group.rank() == 0 {
        println!("{}", text());
    }
}

fn correct() -> Result<()> {
    let group = distributed::init_with(&InitOptions { strict: true, check: Check::On, ..InitOptions::default() })?;
    let (rank, size) = (group.rank(), group.size());
    let numbers: Vec<f32> = (0..2 * size).map(|at| (at + 10 * rank) as f32).collect();
    let x = Array::from_slice(&numbers, &[2 * size])?;
    let of_rank = |rank: usize| (0..2 * size).map(move |at| (at + 10 * rank) as f32);
    let sums: Vec<f32> = (0..2 * size).map(|at| (0..size).map(|rank| (at + 10 * rank) as f32).sum()).collect();
    assert_eq!(distributed::all_sum(&x, &group)?.to_vec::<f32>()?, sums);
    assert_eq!(distributed::all_max(&x, &group)?.to_vec::<f32>()?, of_rank(size - 1).collect::<Vec<_>>());
    assert_eq!(distributed::all_min(&x, &group)?.to_vec::<f32>()?, of_rank(0).collect::<Vec<_>>());
    let gathered: Vec<f32> = (0..size).flat_map(of_rank).collect();
    assert_eq!(distributed::all_gather(&x, &group)?.to_vec::<f32>()?, gathered);

    // Each is summed with its own weights, so that cotangents differ.
    let weighted =
        |y: &Array| y.multiply(&Array::arange(1.0, y.size() as f64 + 1.0, 1.0, Dtype::Float32)?)?.sum_all();
    let gradient = |collective: fn(&Array, &Group) -> Result<Array>| -> Result<Vec<f32>> {
        Array::grad(|x| weighted(&collective(&x[0], &group)?), std::slice::from_ref(&x))?[0].to_vec()
    };
    let weights = |start: usize| (1..=2 * size).map(move |at| (start + at) as f32).collect::<Vec<f32>>();
    assert_eq!(gradient(distributed::all_sum)?, weights(0));
    assert_eq!(gradient(distributed::all_gather)?, weights(2 * size * rank));
    assert_eq!(gradient(distributed::all_max)?, if rank == size - 1 { weights(0) } else { vec![0.0; 2 * size] });
    assert_eq!(gradient(distributed::all_min)?, if rank == 0 { weights(0) } else { vec![0.0; 2 * size] });
    if group.backend() == Some(Backend::Nccl) {
        assert_eq!(distributed::sum_scatter(&x, &group)?.to_vec::<f32>()?, sums[2 * rank..2 * rank + 2]);
        assert_eq!(gradient(distributed::sum_scatter)?, [1.0_f32, 2.0].repeat(size));
        assert!(distributed::send(&x, (rank + 1) % size, &group).is_err());
        // Two groups, of the even and the odd ranks.
        let part = group.split((rank % 2) as u32, None)?;
        let total = distributed::all_sum(&Array::scalar(1)?, &part)?.item::<i32>()?;
        assert_eq!(total as usize, (size + 1 - rank % 2) / 2);
    } else {
        assert!(distributed::sum_scatter(&x, &group).is_err());
    }
    let backend = group.backend().unwrap_or_default();
    say(&group, || format!("{size} processes over {backend}: values and gradients are right"));

    // Rank 0 cuts a gradient in front of a collective of the backward pass.
    let cut = Array::grad(
        |x| {
            let x = if rank == 0 {
                no_grad! { x[0].square()? }
            } else {
                x[0].square()?
            };
            distributed::all_max(&x, &group)?.sum_all()
        },
        &[x],
    );
    let result = cut.and_then(|_| distributed::all_sum(&Array::scalar(100.0_f32)?, &group)?.item::<f32>());
    let error = result.expect_err("rank 0 skips a collective");
    assert!(matches!(error, Error::Distributed { kind: ErrorKind::Disagreement, .. }), "{error}");
    say(&group, || error.to_string());
    Ok(())
}

fn latency(count: usize) -> Result<()> {
    let group = distributed::init(true, Backend::Any)?;
    let mut x = Array::scalar(1.0_f32)?;
    let mut times = Vec::new();
    for _ in 0..count + count / 10 {
        let start = Instant::now();
        x = distributed::all_sum(&x, &group)?.multiply(0.5)?;
        x.eval()?;
        times.push(start.elapsed().as_secs_f64());
    }
    let times = &mut times[count / 10..];
    times.sort_by(f64::total_cmp);
    say(&group, || format!("{:.1}", 1e6 * times[count / 2]));
    Ok(())
}

fn bandwidth(mebibytes: usize) -> Result<()> {
    let group = distributed::init(true, Backend::Any)?;
    let (length, size) = (mebibytes << 18, group.size());
    let x = Array::ones(&[length], Dtype::Float32)?;
    let mut times = Vec::new();
    for round in 0..12 {
        x.eval()?;
        distributed::all_sum(&Array::scalar(1)?, &group)?.eval()?;
        let start = Instant::now();
        let sum = distributed::all_sum(&x, &group)?;
        sum.eval()?;
        if round > 1 {
            times.push(start.elapsed().as_secs_f64());
        }
        assert_eq!(sum.narrow(0, length - 1, 1)?.item::<f32>()?, size as f32);
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let bytes = 4.0 * length as f64 * 2.0 * (size as f64 - 1.0) / size as f64;
    say(&group, || {
        format!(
            "all_sum of {mebibytes} MiB on {size}: {:.2} ms, {:.1} GB/s of bus",
            1e3 * median,
            bytes / median / 1e9
        )
    });
    Ok(())
}
