//! The documents: what they tell people to type is a command that exists, and is run by a test.
//!
//! Each fenced block of a document names its language, and one of shell commands also who runs it:
//!
//! * `sh ci`: targets of the Makefile, which `.ci/run` runs;
//! * `sh host`: run here, block by block, against a daemon with the embedded server (`on_this_host`);
//! * `sh booted`, `sh booted gpu` and `yaml cloud-init`: typed by `make test-systemd` into a host that has never seen
//!   clearmld (tests/systemd/inside/documents.py);
//! * `sh booted limits`: by `make test-e2e`, where the kernel has controllers (tests/e2e/inside/limits.py).

mod api;
mod commands;
mod configuration;
mod on_this_host;
mod reader;
