//! `clearmlctl`: parse, one rpc, render, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    clearmld::ctl::main(std::env::args_os())
}
