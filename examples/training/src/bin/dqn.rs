//! Learns to balance a pole on a cart by deep Q-learning.
//!
//! ```text
//! cargo run --release -p training --bin dqn
//! ```

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use grad_examples::embedder::{self, Backend, BackendArgs};
use grad_examples::exit::exit;
use grad_examples::printable::Printable;
use grad_runtime::Array;
use indicatif::{ProgressBar, ProgressStyle};
use mimalloc::MiMalloc;
use training::cart_pole::MAX_STEPS;
use training::dqn::{Agent, Settings};
use training::plot::{self, Chart, Line};
use training::rng::Rng;

/// glibc returns freed arrays, which take megabytes, to the system each time; that costs a third of the run time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The number of episodes of the moving average, and between two checkpoints.
const WINDOW: usize = 20;
/// Learning stops at this mean return of [`WINDOW`] episodes, of at most [`MAX_STEPS`].
const SOLVED: f64 = 475.0;

/// Learns to balance a pole on a cart
///
/// Deep Q-learning with a target network, whose goals and soft updates are computed in no-grad scopes. Stops once the mean
/// return of 20 episodes is 475 of 500.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The maximum number of episodes
    #[arg(long, value_name = "N", default_value = "400")]
    episodes: NonZeroUsize,

    /// The folder for the plot and the networks
    #[arg(long, value_name = "DIR", default_value = "target/dqn")]
    out: PathBuf,

    /// The learning rate
    #[arg(long, value_name = "LR", default_value_t = Settings::default().lr)]
    lr: f64,

    /// The seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    on: BackendArgs,
}

fn main() -> ExitCode {
    exit("dqn", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    match embedder::backend(args.on.backend, args.on.device)? {
        #[cfg(feature = "cpu")]
        Backend::Cpu => learn::<grad_runtime::cpu::Array>(args, "cpu"),
        #[cfg(feature = "mlx")]
        Backend::Mlx(name) => learn::<grad_runtime::mlx::Array>(args, &name),
    }
}

fn learn<A: Array>(args: &Args, backend: &str) -> Result<()> {
    let shown = Printable(&args.out.display().to_string()).to_string();
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create the folder {shown}"))?;
    let mut out = io::stdout().lock();
    let mut agent = Agent::<A>::new(Settings { lr: args.lr, seed: args.seed, ..Settings::default() })?;
    writeln!(out, "learning to balance a pole for {MAX_STEPS} steps, on {backend}")?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} episodes, {msg}")?;
    let bar = ProgressBar::new(args.episodes.get() as u64).with_style(style);
    let start = Instant::now();
    let mut returns = Vec::new();
    for episode in 1..=args.episodes.get() {
        returns.push(agent.learn_episode()?);
        let mean = moving_average(&returns, returns.len());
        bar.set_message(format!("mean return {mean:.0}"));
        bar.inc(1);
        let solved = episode >= WINDOW && mean >= SOLVED;
        if episode % WINDOW == 0 || solved || episode == args.episodes.get() {
            agent.save(&args.out.join("networks.safetensors"))?;
            plot_returns(args, &returns)?;
            bar.suspend(|| {
                writeln!(out, "episode {episode:3}, step {:5}: mean return of {WINDOW}: {mean:.1}", agent.steps())
            })?;
        }
        if solved {
            break;
        }
    }
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let mut rng = Rng::new(!args.seed);
    let played = (0..WINDOW).map(|_| agent.play_episode(&mut rng)).collect::<Result<Vec<_>>>()?;
    writeln!(out, "without exploration, in {WINDOW} new episodes: {:.1}", moving_average(&played, WINDOW))?;
    writeln!(out, "learned in {seconds:.0} s; wrote return.svg and networks.safetensors in {shown}")?;
    Ok(())
}

/// Returns the mean of the last returns, at most [`WINDOW`], of the first `episodes`.
#[expect(clippy::cast_precision_loss, reason = "the returns are small")]
fn moving_average(returns: &[usize], episodes: usize) -> f64 {
    let last = &returns[episodes.saturating_sub(WINDOW)..episodes];
    last.iter().sum::<usize>() as f64 / last.len() as f64
}

#[expect(clippy::cast_precision_loss, reason = "the returns are small")]
fn plot_returns(args: &Args, returns: &[usize]) -> Result<()> {
    let line = |name: String, value: &dyn Fn(usize) -> f64, faint| Line {
        name,
        points: (1..=returns.len()).map(|episode| (episode as f64, value(episode))).collect(),
        faint,
        dots: false,
    };
    let chart = Chart {
        title: "Return over episodes".into(),
        x: "episode".into(),
        y: "return (steps that the pole stays up)".into(),
        lines: vec![
            line("each episode".into(), &|episode| returns[episode - 1] as f64, true),
            line(format!("mean of {WINDOW}"), &|episode| moving_average(returns, episode), false),
        ],
        range: Some((0.0, 1.04 * MAX_STEPS as f64)),
        mark: None,
    };
    plot::charts(&args.out.join("return.svg"), &[chart])
}
