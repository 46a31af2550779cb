//! Attempts to get out of the sandbox, on a real kernel, by tasks of a real daemon. `hostile` has the list; the other
//! tests are of what a list of single steps cannot show.
//!
//! | module | with which daemon |
//! |---|---|
//! | `hostile`, `leftovers`, `races` | one of the test's own, with the direct launcher; in `make test-systemd` and `make test-e2e` the one of the package, with systemd as its launcher |
//! | `disk`, `second_wall`, `relaxed` | one of the test's own |

#![expect(clippy::disallowed_methods, reason = "tests write what users and other versions would")]

mod attempts;
mod disk;
mod gpus;
mod host;
mod hostile;
mod leftovers;
#[path = "../shim/processes.rs"]
mod processes;
mod races;
mod relaxed;
mod second_wall;
