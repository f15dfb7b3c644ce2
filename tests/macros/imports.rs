//! The documented imports, and renamed dependencies.

mod prelude_and_macro_use {
    use grad_runtime::prelude::*;

    #[no_grad]
    fn attribute() -> bool {
        no_grad! { is_grad_enabled() }
    }

    #[test]
    fn works() {
        assert!(!attribute());
        assert!(!no_grad!(is_grad_enabled()));
    }
}

mod attribute_by_name {
    use grad_runtime::attr::no_grad;

    #[no_grad]
    fn attribute() -> bool {
        grad_runtime::is_grad_enabled()
    }

    #[test]
    fn works() {
        assert!(!attribute());
        assert!(!grad_runtime::no_grad! { grad_runtime::is_grad_enabled() });
        assert!(!grad_runtime::no_grad!(attribute()));
    }
}

mod block_and_guard_by_name {
    use grad_runtime::no_grad;

    #[grad_runtime::attr::no_grad]
    fn attribute() -> bool {
        grad_runtime::is_grad_enabled()
    }

    #[test]
    fn works() {
        assert!(!attribute());
        assert!(!no_grad! { grad_runtime::is_grad_enabled() });
        let _guard = no_grad();
        assert!(!grad_runtime::is_grad_enabled());
    }
}

mod renamed_dependency {
    use ::grad_runtime as renamed;

    use renamed::attr::{inference_mode, no_grad, set_grad_enabled};

    // `crate = …` must suffice beside another item named grad_runtime.
    mod grad_runtime {}

    #[no_grad(crate = renamed)]
    fn beside() -> bool {
        renamed::is_grad_enabled()
    }

    #[set_grad_enabled(on, crate = crate::imports::renamed_dependency::renamed)]
    fn from_the_root(on: bool) -> bool {
        renamed::is_grad_enabled()
    }

    #[inference_mode(backend = renamed::Mlx, crate = self::renamed)]
    async fn asynchronous() -> renamed::GradMode {
        renamed::Backend::grad_mode(&renamed::Mlx)
    }

    #[test]
    fn works() {
        assert!(!beside());
        assert!(from_the_root(true) && !from_the_root(false));
        let mode = futures::executor::block_on(asynchronous());
        assert_eq!(mode, renamed::GradMode::Inference);
        assert!(!renamed::no_grad! { <renamed::Cpu> renamed::is_grad_enabled() });
    }
}

/// A macro of another crate, which re-exports grad-runtime for users that do not depend on it.
mod through_a_macro {
    pub mod reexported {
        pub use grad_runtime::*;
    }

    macro_rules! make {
        ($name:ident, $output:ty) => {
            #[$crate::imports::through_a_macro::reexported::attr::no_grad(
                                                                crate = $crate::imports::through_a_macro::reexported
                                                            )]
            async fn $name() -> $output {
                grad_runtime::is_grad_enabled()
            }
        };
    }
    make!(made, bool);

    #[test]
    fn works() {
        assert!(!futures::executor::block_on(made()));
    }
}
