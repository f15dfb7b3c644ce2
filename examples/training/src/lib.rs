//! Modules of the training programs, generic over the backend.
//!
//! | module | purpose |
//! |---|---|
//! | [`data`] | makes a data set of source code |
//! | [`model`] | the classifier: a head on an encoder, which a scope can freeze |
//! | [`finetune`] | trains it, epoch by epoch, with checkpoints |
//! | [`data_parallel`] | trains the head on several processes |
//! | [`cart_pole`] | an environment: a pole on a cart |
//! | [`dqn`] | deep Q-learning with a target network |
//! | [`plot`] | draws charts as SVG |
//! | [`rng`] | draws random numbers outside of arrays |

pub mod cart_pole;
#[cfg(feature = "backend")]
pub mod data;
#[cfg(feature = "mlx")]
pub mod data_parallel;
#[cfg(feature = "backend")]
pub mod dqn;
#[cfg(feature = "backend")]
pub mod finetune;
#[cfg(feature = "backend")]
pub mod model;
pub mod plot;
pub mod rng;
