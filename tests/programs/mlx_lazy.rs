//! Prints how much memory this process holds after 50,000 updates of an exponential moving average, by how often the average is
//! evaluated. Each case runs in a process of its own: run it without arguments.

use std::process::Command;

use grad_runtime::mlx::Array;
use grad_runtime::{Result, no_grad};
use support::memory::resident_bytes;

const UPDATES: usize = 50_000;
/// The number of updates after which the average is evaluated.
const INTERVALS: [usize; 3] = [usize::MAX, 1000, 1];

/// Returns decay · average + (1 - decay) · weight.
fn update(average: &Array, weight: &Array) -> Result<Array> {
    average.multiply(&Array::scalar(0.99_f32)?)?.add(&weight.multiply(&Array::scalar(0.01_f32)?)?)
}

fn run(in_scope: bool, interval: usize) -> Result<()> {
    let weight = Array::scalar(2.0_f32)?;
    let mut average = update(&Array::scalar(0.0_f32)?, &weight)?;
    average.eval()?; // Loads MLX.
    let before = resident_bytes();
    for number in 1..=UPDATES {
        average = if in_scope { no_grad!(update(&average, &weight)?) } else { update(&average, &weight)? };
        if number % interval == 0 {
            average.eval()?;
        }
    }
    println!("{}", resident_bytes().saturating_sub(before));
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [in_scope, interval] = &arguments[..] {
        return run(in_scope == "true", interval.parse().expect("a number"));
    }
    for in_scope in [false, true] {
        for interval in INTERVALS {
            let program = std::env::current_exe().expect("the path of this program");
            let output = Command::new(program).args([in_scope.to_string(), interval.to_string()]).output();
            let output = output.expect("this program runs");
            assert!(output.status.success(), "{output:?}");
            let bytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
            let scope = if in_scope { "in no_grad" } else { "in no scope" };
            let evaluated = match interval {
                usize::MAX => "never evaluated".into(),
                1 => "evaluated after each update".into(),
                interval => format!("evaluated after every {interval} updates"),
            };
            println!("{scope}, {evaluated}: {:.1} MB", bytes / 1e6);
        }
    }
    Ok(())
}
