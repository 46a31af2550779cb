//! What is written to the journal, as bytes and decisions: [`entry`] is the native protocol, [`lines`] cuts a program's
//! output into lines, [`gate`] decides how much of it passes.

pub mod entry;
pub mod gate;
pub mod lines;

pub use entry::Entry;
pub use gate::{Gate, LeftOut, Limits};
pub use lines::Lines;
