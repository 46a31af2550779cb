//! The main job through the public doors: real binaries, the real shim, real processes; the server is the embedded one,
//! in this process, so that it can be told to fail.

#![expect(clippy::disallowed_methods, reason = "tests write what users and other versions would")]

mod bad_input;
mod bundle;
mod calls;
mod commands;
mod daemon_dies;
mod declared;
mod doctor;
mod escape;
mod explain;
mod faults;
mod few_descriptors;
mod follower;
mod full_disk;
mod git_password;
mod gpus;
mod hostile_names;
mod ledger;
mod lending;
mod life;
mod lost_answers;
mod metrics;
mod ordinary_user;
mod output;
mod programs;
mod queues;
mod requeue;
mod sdk;
mod server_away;
mod shown;
mod source;
mod stops;
mod top;
mod uv;
mod world;
