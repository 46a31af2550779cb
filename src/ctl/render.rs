//! Answers as tables for people ([`table`] says what they look like, a module a thing what they show) and as JSON for
//! programs ([`json`]). Text that came from a server, a task or a program passes [`text`] or [`stream`] before it reaches
//! a terminal.

pub(super) mod changes;
pub(super) mod findings;
pub(super) mod gpus;
pub(super) mod host;
pub(super) mod json;
pub(super) mod reasons;
pub(super) mod runs;
pub(super) mod stream;
pub(super) mod table;
pub(super) mod tasks;
pub(super) mod text;
pub(super) mod time;
pub(super) mod words;
pub(super) mod workers;
