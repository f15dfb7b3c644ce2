//! The values of collectives, and what they refuse.

use grad_runtime::mlx::distributed::{self, Backend};
use grad_runtime::mlx::{self, Array};
use grad_runtime::{Complex32, Dtype, bf16, f16, no_grad};
use support::rings::Ring;

use crate::{assert_all_succeed, join};

#[test]
fn all_sum_adds_the_arrays_of_all_processes() {
    for size in [2, 4] {
        assert_all_succeed(&Ring::new(size).run(|rank| {
            let group = join();
            assert_eq!((group.rank(), group.size(), group.backend()), (rank, size, Some(Backend::Ring)));
            let x = Array::from_slice(&[1.0_f32, rank as f32], &[2]).unwrap();
            let sum = distributed::all_sum(&x, &group).unwrap();
            assert_eq!(sum.to_vec::<f32>().unwrap(), [size as f32, (0..size).sum::<usize>() as f32]);
        }));
    }
}

#[test]
fn maximum_minimum_and_gathered_arrays() {
    for size in [2, 4] {
        assert_all_succeed(&Ring::new(size).run(|rank| {
            let (group, rank) = (join(), rank as i32);
            let x = Array::from_slice(&[rank, -rank, 7], &[1, 3]).unwrap();
            let last = size as i32 - 1;
            assert_eq!(distributed::all_max(&x, &group).unwrap().to_vec::<i32>().unwrap(), [last, 0, 7]);
            assert_eq!(distributed::all_min(&x, &group).unwrap().to_vec::<i32>().unwrap(), [0, -last, 7]);
            let gathered = distributed::all_gather(&x, &group).unwrap();
            assert_eq!(gathered.shape(), [size, 3]);
            let expected: Vec<i32> = (0..=last).flat_map(|rank| [rank, -rank, 7]).collect();
            assert_eq!(gathered.to_vec::<i32>().unwrap(), expected);
            let scalars = distributed::all_gather(&Array::scalar(rank).unwrap(), &group).unwrap();
            assert_eq!(scalars.to_vec::<i32>().unwrap(), (0..=last).collect::<Vec<_>>());
        }));
    }
}

#[test]
fn every_dtype_that_has_a_sum() {
    assert_all_succeed(&Ring::new(2).run(|_| {
        let group = join();
        macro_rules! assert_doubled {
            ($($value:expr => $expected:expr;)*) => {$(
                let sum = distributed::all_sum(&Array::from_slice(&[$value; 3], &[3]).unwrap(), &group).unwrap();
                assert_eq!(sum.to_buffer().unwrap(), Array::from_slice(&[$expected; 3], &[3]).unwrap().to_buffer().unwrap());
            )*};
        }
        assert_doubled! {
            1.5_f32 => 3.0_f32;
            1.5_f64 => 3.0_f64;
            f16::from_f32(1.5) => f16::from_f32(3.0);
            bf16::from_f32(1.5) => bf16::from_f32(3.0);
            Complex32::new(1.0, 2.0) => Complex32::new(2.0, 4.0);
            -3_i8 => -6_i8;
            -3_i16 => -6_i16;
            -3_i32 => -6_i32;
            -3_i64 => -6_i64;
            3_u8 => 6_u8;
            3_u16 => 6_u16;
            3_u32 => 6_u32;
            3_u64 => 6_u64;
        }
        let either = Array::from_slice(&[group.rank() == 0, false], &[2]).unwrap();
        assert_eq!(distributed::all_max(&either, &group).unwrap().to_vec::<bool>().unwrap(), [true, false]);
    }));
}

#[test]
fn arrays_of_any_size_and_layout() {
    assert_all_succeed(&Ring::new(2).run(|_| {
        let group = join();
        for shape in [vec![], vec![0], vec![1], vec![3, 0], vec![300_001], vec![1 << 22]] {
            let sum = distributed::all_sum(&Array::ones(&shape, Dtype::Float32).unwrap(), &group).unwrap();
            assert_eq!(sum.shape(), shape);
            assert!(sum.to_vec::<f32>().unwrap().iter().all(|&value| value == 2.0));
        }
        let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2]).unwrap().transpose(&[1, 0]).unwrap();
        let sum = distributed::all_sum(&x, &group).unwrap();
        assert_eq!(sum.to_vec::<f32>().unwrap(), [2.0, 6.0, 4.0, 8.0]);
        assert_eq!(
            distributed::all_gather(&x, &group).unwrap().to_vec::<f32>().unwrap(),
            [1.0, 3.0, 2.0, 4.0].repeat(2)
        );
    }));
}

#[test]
fn neighbours_send_and_receive() {
    for size in [2, 4] {
        assert_all_succeed(&Ring::new(size).run(|rank| {
            let group = join();
            let (next, previous) = ((rank + 1) % size, (rank + size - 1) % size);
            let x = Array::from_slice(&[rank as f32, 0.5], &[2]).unwrap();
            let sent = distributed::send(&x, next, &group).unwrap();
            let received = distributed::recv(&[2], Dtype::Float32, previous, &group).unwrap();
            assert_eq!(received.to_vec::<f32>().unwrap(), [previous as f32, 0.5]);
            assert_eq!(sent.to_vec::<f32>().unwrap(), [rank as f32, 0.5]);
            distributed::send(&received, next, &group).unwrap();
            let twice = distributed::recv_like(&x, previous, &group).unwrap();
            assert_eq!(twice.to_vec::<f32>().unwrap(), [((rank + size - 2) % size) as f32, 0.5]);
        }));
    }
}

/// MLX evaluates what is read, in the order of reading. Processes that read in different orders would pair the wrong collectives.
#[test]
fn collectives_run_in_the_order_of_their_calls() {
    for check in [0, 1] {
        assert_all_succeed(&Ring::new(2).variable("GRAD_DISTRIBUTED_CHECK", check.to_string()).run(|rank| {
            let group = join();
            let sum = |value: f32| distributed::all_sum(&Array::scalar(value).unwrap(), &group).unwrap();
            let (ones, tens) = (sum(1.0), sum(10.0));
            let read = |array: &Array| array.item::<f32>().unwrap();
            let found = if rank == 0 {
                (read(&ones), read(&tens))
            } else {
                let tens = read(&tens);
                (read(&ones), tens)
            };
            assert_eq!(found, (2.0, 20.0));
            // What one process never reads, the other may.
            let hundreds = sum(100.0);
            let thousands = sum(1000.0);
            assert_eq!(read(&thousands), 2000.0);
            if rank == 0 {
                assert_eq!(read(&hundreds), 200.0);
            }
        }));
    }
}

#[test]
fn streams_do_not_change_the_order() {
    assert_all_succeed(&Ring::new(2).run(|rank| {
        let group = join();
        let stream = mlx::Stream::new(mlx::default_device().unwrap()).unwrap();
        for round in 0..20 {
            let x = Array::scalar(round as f32).unwrap();
            let sum = || distributed::all_sum(&x.exp().unwrap(), &group).unwrap();
            let sum = if (round + rank) % 2 == 0 { stream.scope(sum).unwrap() } else { sum() };
            assert!((sum.item::<f32>().unwrap() / 2.0 / (round as f32).exp() - 1.0).abs() < 1e-5);
        }
    }));
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    assert_all_succeed(&Ring::new(4).run(|rank| {
        let group = join();
        let x = Array::from_slice(&[1.0_f32; 4], &[4]).unwrap();
        let bools = Array::from_slice(&[true], &[1]).unwrap();
        let complex = Array::scalar(Complex32::new(1.0, 2.0)).unwrap();
        let far = (rank + 2) % 4;
        for (result, expected) in [
            (distributed::all_sum(&bools, &group), "cannot all_sum bool[1]: bools have no sum".to_owned()),
            (
                distributed::all_max(&complex, &group),
                "cannot all_max complex64[]: complex numbers have no order".into(),
            ),
            (
                distributed::sum_scatter(&x, &group),
                "cannot sum_scatter float32[4]: MLX has `sum_scatter` with NCCL only".into(),
            ),
            (
                distributed::send(&x, 4, &group),
                "cannot send float32[4]: rank 4 is no other process of the group, which has 4".into(),
            ),
            (
                distributed::send(&x, rank, &group),
                format!("cannot send float32[4]: rank {rank} is no other process"),
            ),
            (
                distributed::send(&x, far, &group),
                format!("cannot send float32[4]: rank {far} is no neighbour of rank {rank}"),
            ),
            (
                distributed::recv_like(&x, far, &group),
                format!("cannot recv float32[4]: rank {far} is no neighbour of rank {rank}"),
            ),
        ] {
            let error = result.unwrap_err().to_string();
            assert!(error.starts_with(&expected), "{error:?} should begin with {expected:?}");
        }
        let error = group.split(0, None).unwrap_err().to_string();
        assert_eq!(error, "cannot split: the ring has no groups within groups; use MPI or NCCL");
        let compiled = mlx::compile({
            let group = group.clone();
            move |x| Ok(vec![distributed::all_sum(&x[0], &group)?])
        });
        let error = compiled.call(&[x.clone()]).unwrap_err().to_string();
        assert!(error.contains("a compiled function cannot communicate"), "{error}");
        // None of them has disturbed the group.
        assert_eq!(distributed::all_sum(&x, &group).unwrap().to_vec::<f32>().unwrap(), [4.0; 4]);
    }));
}

#[test]
fn later_calls_of_init_return_the_same_group() {
    assert_all_succeed(&Ring::new(2).run(|_| {
        let first = join();
        let second = distributed::init(false, Backend::Any).unwrap();
        drop(first);
        let one = Array::scalar(1).unwrap();
        assert_eq!(distributed::all_sum(&one, &second).unwrap().item::<i32>().unwrap(), 2);
        let elsewhere = std::thread::spawn(|| distributed::init(true, Backend::Ring).unwrap_err().to_string());
        let error = elsewhere.join().unwrap();
        assert!(error.contains("has left its group, or has it on another thread"), "{error}");
        drop(second);
        let error = distributed::init(true, Backend::Ring).unwrap_err().to_string();
        assert!(error.contains("MLX connects a process once"), "{error}");
    }));
}

#[test]
fn a_process_alone_has_every_collective() {
    let group = distributed::init(false, Backend::Any).unwrap();
    assert_eq!((group.rank(), group.size(), group.backend(), group.is_checked()), (0, 1, None, false));
    let x = Array::from_slice(&[1.0_f32, 2.0], &[2]).unwrap();
    for collective in [
        distributed::all_sum,
        distributed::all_max,
        distributed::all_min,
        distributed::all_gather,
        distributed::sum_scatter,
    ] {
        assert_eq!(collective(&x, &group).unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
        let loss = |x: &[Array]| collective(&x[0], &group)?.square()?.sum_all();
        assert_eq!(Array::grad(loss, &[x.clone()]).unwrap()[0].to_vec::<f32>().unwrap(), [2.0, 4.0]);
        let cut = |x: &[Array]| no_grad! { collective(&x[0], &group)? }.multiply(&x[0])?.sum_all();
        assert_eq!(Array::grad(cut, &[x.clone()]).unwrap()[0].to_vec::<f32>().unwrap(), [1.0, 2.0]);
    }
    let of_one = Ring::new(1).run(|_| assert_eq!(join().size(), 1));
    assert_all_succeed(&of_one);
}

/// The program that the script for GPUs runs.
#[test]
fn the_program_that_checks_collectives() {
    let outcomes = Ring::new(4).program(env!("CARGO_BIN_EXE_mlx-collectives"), &["correct"]);
    assert_all_succeed(&outcomes);
    assert!(
        outcomes[0].output.starts_with("4 processes over ring: values and gradients are right\n"),
        "{outcomes:?}"
    );
    assert!(outcomes[0].output.contains("rank 0: all_sum of float32[] at "), "{outcomes:?}");
}
