//! The survival matrix: the real daemon is killed with SIGKILL at each place between two acts of a Run's life, and the
//! next one finds everything as it was. The places are those of `clearmld::sys::failpoint`.
//!
//! `torture` does the same at random (`make torture N=1000`).

#![expect(clippy::disallowed_methods, reason = "tests write what users and other versions would")]

#[path = "../main_job/uv.rs"]
mod uv;
#[path = "../main_job/world/mod.rs"]
#[expect(dead_code, reason = "it is shared with the main job, which needs more of it")]
mod world;

mod life;
mod matrix;
mod places;
