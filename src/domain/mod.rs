//! The words of the house as values: no I/O, no clock, no threads. Everything here can be decided, compared and
//! tested as data.

pub mod cause;
pub mod declared;
pub mod diagnosis;
pub mod disk;
pub mod explain;
pub mod figures;
pub mod fit;
pub mod gpu;
pub mod handover;
pub mod health;
pub mod hours;
pub mod ids;
pub mod inventory;
pub mod journal;
pub mod lease;
pub mod lending;
pub mod limits;
pub mod log;
pub mod machine;
pub mod notice;
pub mod policy;
pub mod requeue;
pub mod reservation;
pub mod reserve;
pub mod run;
pub mod sandbox;
pub mod schedule;
pub mod script;
pub mod sharing;
pub mod stop;
pub mod task;
pub mod verdict;
pub mod withheld;
pub mod worker;
