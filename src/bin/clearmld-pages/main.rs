//! `clearmld-pages DIRECTORY EXAMPLE` writes what is installed beside the programs and made from their definitions: manual
//! pages, completions, and the default clearmld.toml. It is not installed itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

mod control;
mod daemon;
mod roff;
mod settings;
mod workers;

/// Write manual pages, completions and the default configuration.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to.
    directory: PathBuf,
    /// The example of a declared worker, which has every key.
    example: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match write_all(&arguments.directory, &arguments.example) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "clearmld-pages: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(directory: &Path, example: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    control::write_pages(&man)?;
    control::write_completions(&completions)?;
    place(&man, "clearmld.8", &daemon::page()?)?;
    place(&man, "clearmld.toml.5", &settings::page())?;
    place(&man, "clearmld-workers.5", &workers::page(&fs::read_to_string(example)?))?;
    place(directory, "clearmld.toml", settings::default_file().as_bytes())
}

fn place(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    File::create(directory.join(name))?.write_all(content)
}
