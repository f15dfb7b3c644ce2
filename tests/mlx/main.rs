//! What is MLX's alone: how it is found and loaded, its devices and memory, and that nothing is lost on the way
//! through C++.

mod indices;
mod loading;
mod memory;
mod own_switch;
mod threads;
