//! The main job through the public doors: real binaries, the real shim, real processes; the server is the embedded one,
//! in this process, so that it can be told to fail.

mod bad_input;
mod daemon_dies;
mod escape;
mod life;
mod sdk;
mod source;
mod world;
