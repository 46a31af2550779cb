//! A world for the engine's tests: a server in memory and programs that end when they are told. Only for faults and
//! speed: what a real server does is tested against the embedded one, what a real shim does against the real one.

mod clearml;
mod clock;
mod declarations;
mod gpus;
mod launcher;
mod outfitter;

pub(crate) use clearml::FakeClearMl;
pub(crate) use clock::FakeClock;
pub(crate) use declarations::FakeDeclarations;
pub(crate) use gpus::FakeGpus;
pub(crate) use launcher::FakeLauncher;
pub(crate) use outfitter::{FakeMachine, FakeOutfitter};
