//! A million scopes: blocks, guards and guards dropped out of order.

use grad_runtime::{GradMode, Mlx, Scope, enable_grad, grad_mode, inference_mode, no_grad, set_grad_enabled};
use support::random::Random;

const SCOPES: u64 = 100_000;

const KINDS: [Scope; 4] =
    [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)];

/// Enters a tenth of them.
pub fn run() -> u64 {
    let random = Random::new(1);
    let mut entered = 0;
    while entered < SCOPES {
        let inner = no_grad! { (grad_mode(), enable_grad! { grad_mode() }, inference_mode! { enable_grad! { grad_mode() } }) };
        assert_eq!(inner, (GradMode::NoGrad, GradMode::Enabled, GradMode::Inference));
        let on = random.chance(50);
        assert_eq!(set_grad_enabled!(on, { grad_mode().is_enabled() }), on);

        // Guards alive at once, dropped in any order: the innermost one alive decides.
        let mut alive = Vec::new();
        for _ in 0..random.within(1..8) {
            let scope = random.of(&KINDS);
            alive.push((scope.applied_to(grad_mode()), scope.enter()));
            let _other = Scope::NoGrad.enter_for(&Mlx);
            entered += 2;
        }
        while !alive.is_empty() {
            assert_eq!(grad_mode(), alive.last().unwrap().0);
            drop(alive.remove(random.below(alive.len())));
        }
        assert_eq!(grad_mode(), GradMode::Enabled);
        entered += 5;
    }
    entered
}
