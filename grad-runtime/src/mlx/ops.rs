// The operations of MLX that all look alike: each is one name here. build.rs includes this file to write the C++ side,
// `ffi.rs` includes it for the Rust side, so the two cannot disagree.
macro_rules! for_each_op {
    ($with:ident) => {
        $with! {
            // array -> array
            unary: abs negative exp log sqrt square sin cos tanh erf sigmoid relu gelu stop_gradient;
            // array, array -> array
            binary: add subtract multiply divide maximum minimum power equal greater less matmul;
            // array, axes, keepdims -> array
            reduction: sum mean max min logsumexp;
            // array, list of numbers -> array
            shaping: reshape transpose broadcast_to;
            // array, number -> array
            axial: expand_dims squeeze softmax;
        }
    };
}
