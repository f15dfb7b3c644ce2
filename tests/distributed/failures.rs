//! Processes that do not come, leave, or are slow: errors, within the time that the documentation states.

use std::time::{Duration, Instant};
use std::{net, thread};

use grad_runtime::mlx::Array;
use grad_runtime::mlx::distributed::{self, Backend, Check, ErrorKind, InitOptions};
use support::rings::{Ring, free_addresses, hosts_file, report};

use crate::{assert_all_succeed, failure, join};

fn options(init_timeout: u64) -> InitOptions {
    InitOptions { strict: true, init_timeout: Duration::from_secs(init_timeout), ..InitOptions::default() }
}

/// Asserts that `init` fails in each process, within the limit, for these reasons.
#[track_caller]
fn assert_init_fails(ring: Ring, options: &InitOptions, within: Duration, expected: &[&str]) {
    let outcomes = ring.run(|rank| {
        let start = Instant::now();
        let (kind, text) = failure(distributed::init_with(options));
        assert_eq!(kind, ErrorKind::Setup);
        let expected = expected.get(rank).or(expected.last()).unwrap();
        assert!(
            text.starts_with("cannot init: ") && text.contains(expected),
            "{text:?} should contain {expected:?}"
        );
        assert!(start.elapsed() < within, "{:?}", start.elapsed());
    });
    assert_all_succeed(&outcomes);
}

/// For what takes no time, and what takes a second and those that the documentation allows, on a machine that may be busy.
const AT_ONCE: Duration = Duration::from_secs(5);
const SECONDS: Duration = Duration::from_secs(15);

#[test]
fn wrong_variables() {
    let missing = Ring::new(2).variable("MLX_HOSTFILE", "no/hosts.json");
    assert_init_fails(
        missing,
        &options(5),
        AT_ONCE,
        &["MLX_HOSTFILE names no/hosts.json, which cannot be read: No such file"],
    );
}

#[test]
fn wrong_hosts() {
    let expected = ["is not a list of lists of addresses"];
    assert_init_fails(Ring::new(2).hosts("[1, 2]"), &options(5), AT_ONCE, &expected);
}

#[test]
fn wrong_rank() {
    let expected = ["MLX_RANK is `7`; it must be a whole number less than 2"];
    assert_init_fails(Ring::new(2).variable("MLX_RANK", "7"), &options(5), AT_ONCE, &expected);
}

#[test]
fn two_processes_of_one_rank() {
    // Both call themselves rank 1, so rank 0 never comes, and one of them may find its port taken by the other.
    let outcomes = Ring::new(2).variable("MLX_RANK", "1").run(|_| {
        let start = Instant::now();
        let (kind, text) = failure(distributed::init_with(&options(1)));
        assert_eq!(kind, ErrorKind::Setup);
        let reasons = ["rank 0 does not answer at 127.0.0.1:", "this process cannot listen at 127.0.0.1:"];
        assert!(reasons.iter().any(|reason| text.starts_with(&format!("cannot init: {reason}"))), "{text:?}");
        assert!(start.elapsed() < SECONDS, "{:?}", start.elapsed());
    });
    assert_all_succeed(&outcomes);
}

#[test]
fn wrong_settings() {
    let ring = Ring::new(2).variable("GRAD_DISTRIBUTED_TIMEOUT", "soon");
    assert_init_fails(
        ring,
        &options(5),
        AT_ONCE,
        &["GRAD_DISTRIBUTED_TIMEOUT is `soon`; set it to a number of seconds"],
    );
}

#[test]
fn a_missing_backend() {
    let nccl = InitOptions { backend: Backend::Nccl, ..options(5) };
    let ring = Ring::new(2)
        .variable("NCCL_HOST_IP", "127.0.0.1")
        .variable("NCCL_PORT", "9")
        .variable("MLX_WORLD_SIZE", "2");
    assert_init_fails(ring, &nccl, AT_ONCE, &["this MLX has no nccl backend"]);
}

#[test]
fn a_port_that_is_in_use() {
    for taken in [0, 1] {
        let addresses = free_addresses(2);
        let _listener = net::TcpListener::bind(&addresses[taken]);
        let at = &addresses[taken];
        let of_the_process = format!("this process cannot listen at {at}; give it a free port");
        let of_others =
            [format!("rank 1 cannot join: this process cannot listen at {at}"), "rank 0 does not answer".into()];
        let expected =
            if taken == 0 { [&*of_the_process, &*of_others[1]] } else { [&*of_others[0], &*of_the_process] };
        let outcomes = Ring::new(2).hosts(hosts_file(&addresses)).run(|rank| {
            let start = Instant::now();
            let (_, text) = failure(distributed::init_with(&options(2)));
            assert!(start.elapsed() < SECONDS, "{:?}", start.elapsed());
            report("error", format_args!("{rank} {text}"));
        });
        assert_all_succeed(&outcomes);
        for (outcome, expected) in outcomes.iter().zip(expected) {
            let text = outcome.reported("error");
            assert!(text.contains(expected), "{text:?} should contain {expected:?}");
        }
    }
}

#[test]
fn a_process_that_never_comes() {
    let ring = Ring::new(4).without(2);
    let expected = ["rank 2 of 4 did not join in time; start every process"];
    assert_init_fails(ring, &options(1), SECONDS, &expected);
}

#[test]
fn rank_0_that_never_comes() {
    let ring = Ring::new(2).without(0);
    assert_init_fails(ring, &options(1), SECONDS, &["rank 0 does not answer at 127.0.0.1:"]);
}

#[test]
fn processes_with_different_settings() {
    let outcomes = Ring::new(2).run(|rank| {
        let check = if rank == 0 { Check::On } else { Check::Off };
        let (_, text) = failure(distributed::init_with(&InitOptions { check, ..options(5) }));
        assert!(text.contains("rank 1 has the check of collectives off and rank 0 has it on"), "{text}");
    });
    assert_all_succeed(&outcomes);
}

#[test]
fn other_programs_at_the_control_port_do_not_disturb() {
    let outcomes = Ring::new(2).run(|rank| {
        if rank == 1 {
            use std::io::Write as _;
            let hosts = std::fs::read_to_string(std::env::var("MLX_HOSTFILE").unwrap()).unwrap();
            let address = hosts.split('"').nth(1).unwrap().to_owned();
            let mut stream = (0..200).find_map(|_| {
                thread::sleep(Duration::from_millis(10));
                net::TcpStream::connect(&address).ok()
            });
            stream.as_mut().unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        }
        let group = join();
        let sum = distributed::all_sum(&Array::scalar(1).unwrap(), &group).unwrap();
        assert_eq!(sum.item::<i32>().unwrap(), 2);
    });
    assert_all_succeed(&outcomes);
}

/// Joins, and sums until that fails. Reports the error and how long it took since the last sum.
fn sum_until_it_fails(timeout: Duration, pause: impl Fn(usize)) {
    let group = distributed::init_with(&InitOptions { timeout: Some(timeout), ..options(60) }).unwrap();
    let x = Array::from_slice(&vec![1.0_f32; 1 << 18], &[1 << 18]).unwrap();
    let mut kept = x.clone();
    for round in 0.. {
        let start = Instant::now();
        pause(round);
        let result = distributed::all_sum(&x, &group).and_then(|sum| {
            let next = kept.add(&sum)?;
            next.eval().map(|()| next)
        });
        match result {
            Ok(next) => kept = next,
            Err(error) => {
                let (kind, text) = failure::<()>(Err(error));
                report("error", format_args!("{kind:?} {text}"));
                report("took", start.elapsed().as_secs_f64());
                break;
            }
        }
        if round == 3 {
            report("ready", "");
        }
    }
    // What was computed before is still there, and other work goes on.
    let sums = (kept.to_vec::<f32>().unwrap()[0] - 1.0) / group.size() as f32;
    assert!(sums.fract() == 0.0 && sums >= 4.0, "{sums}");
    assert_eq!(x.sum_all().unwrap().exp().unwrap().item::<f32>().unwrap(), f32::INFINITY);
    let error = distributed::all_sum(&x, &group).unwrap_err().to_string();
    assert!(error.starts_with("cannot all_sum: "), "{error}");
}

#[test]
fn a_process_that_is_killed_is_an_error_of_the_others() {
    for (size, killed, check) in [(2, 1, 0), (2, 0, 1), (4, 2, 1), (4, 0, 0)] {
        let ring = Ring::new(size)
            .variable("GRAD_DISTRIBUTED_CHECK", check.to_string())
            .kill(killed, Duration::from_millis(200));
        let outcomes = ring.run(|_| sum_until_it_fails(Duration::from_secs(30), |_| {}));
        for (rank, outcome) in outcomes.iter().enumerate().filter(|(rank, _)| *rank != killed) {
            assert!(outcome.status.success(), "rank {rank}: {outcome:?}");
            let text = outcome.reported("error");
            assert!(text.starts_with("PeerLost "), "{text}");
            assert!(text.contains("its process has ended, or ") || text.contains("it failed: "), "{text}");
            assert!(outcome.reported("took").parse::<f64>().unwrap() < SECONDS.as_secs_f64(), "{outcome:?}");
        }
    }
}

/// The process is alive, and does nothing.
#[test]
fn a_slow_process_is_waited_for_within_the_timeout() {
    for check in [0, 1] {
        let ring = Ring::new(2).variable("GRAD_DISTRIBUTED_CHECK", check.to_string());
        let outcomes = ring.run(|rank| {
            let pause = |round| match (rank, round) {
                // In time, and too late.
                (1, 4) => thread::sleep(Duration::from_millis(500)),
                (1, 8) => thread::sleep(Duration::from_secs(3)),
                _ => {}
            };
            sum_until_it_fails(Duration::from_secs(1), pause);
        });
        assert_all_succeed(&outcomes);
        if let [first, second] = &outcomes[..] {
            let text = first.reported("error");
            assert!(text.starts_with("Timeout "), "{text}");
            assert!(text.contains("within 1.0 s"), "{text}");
            let took = first.reported("took").parse::<f64>().unwrap();
            assert!((1.0..SECONDS.as_secs_f64()).contains(&took), "{took}");
            assert!(second.reported("error").contains("within 1.0 s"), "{second:?}");
            if check == 1 {
                assert!(text.contains("\n  rank 1: has issued no collective since the last one"), "{text}");
            }
        }
    }
}

/// What one process has issued, the others may rely on, also if it leaves at once.
#[test]
fn a_process_completes_what_it_has_issued_before_it_leaves() {
    let outcomes = Ring::new(4).run(|rank| {
        let group = join();
        let x = Array::from_slice(&vec![1.0_f32; 1 << 20], &[1 << 20]).unwrap();
        let sums: Vec<Array> = (0..4).map(|_| distributed::all_sum(&x, &group).unwrap()).collect();
        if rank % 2 == 0 {
            drop(group);
            return; // It has read none of them.
        }
        thread::sleep(Duration::from_millis(100));
        for sum in &sums {
            assert_eq!(sum.to_vec::<f32>().unwrap()[0], 4.0);
        }
        let (kind, text) = failure(distributed::all_sum(&x, &group));
        assert_eq!(kind, ErrorKind::PeerLost);
        assert!(text.contains(" has left after 4 collectives: it has dropped its group"), "{text}");
    });
    assert_all_succeed(&outcomes);
}

#[test]
fn a_process_that_panics_is_an_error_of_the_others() {
    let outcomes = Ring::new(2).run(|rank| {
        let group = join();
        if rank == 1 {
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                let _group = group;
                panic!("a bug");
            }));
            assert!(panicked.is_err());
            return;
        }
        let x = Array::scalar(1.0_f32).unwrap();
        let (kind, text) = failure(distributed::all_sum(&x, &group).and_then(|sum| sum.item::<f32>()));
        assert_eq!(kind, ErrorKind::PeerLost);
        assert!(text.contains("rank 1 has left: it panicked"), "{text}");
    });
    assert_all_succeed(&outcomes);
}

/// Without the check, processes that pair different collectives are stopped by the timeout at the latest.
#[test]
fn collectives_of_different_sizes_do_not_hang_without_the_check() {
    let outcomes = Ring::new(2).variable("GRAD_DISTRIBUTED_CHECK", "0").run(|rank| {
        let group =
            distributed::init_with(&InitOptions { timeout: Some(Duration::from_secs(1)), ..options(60) }).unwrap();
        let x = Array::from_slice(&vec![1.0_f32; 1 << (10 + 10 * rank)], &[1 << (10 + 10 * rank)]).unwrap();
        let start = Instant::now();
        let result = distributed::all_sum(&x, &group).and_then(|sum| sum.eval());
        if rank == 1 {
            let (kind, _) = failure(result);
            assert!(matches!(kind, ErrorKind::Timeout | ErrorKind::PeerLost));
        }
        assert!(start.elapsed() < SECONDS, "{:?}", start.elapsed());
    });
    assert_all_succeed(&outcomes);
}
