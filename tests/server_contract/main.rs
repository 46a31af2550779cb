//! The embedded server, held to what was recorded of the real one and to the rules its clients count on.

mod client;
mod faults;
mod files;
mod replay;
mod rules;
