//! clearmlctl(1), a page for each of its subcommands, and its completions.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use clearmld::ctl::args::Cli;

use crate::{MANUAL, SOURCE};

const TAIL: &str = include_str!("../../../packaging/man/clearmlctl.1.in");

pub(crate) fn write_completions(directory: &Path) -> io::Result<()> {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "clearmlctl", directory)?;
    }
    Ok(())
}

pub(crate) fn write_pages(directory: &Path) -> io::Result<()> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    write_tree(directory, &root, None)
}

fn write_tree(directory: &Path, command: &Command, parent: Option<&str>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut page = File::create(directory.join(format!("{name}.1")))?;
    write_page(&mut page, command)?;
    match parent {
        None => page.write_all(TAIL.as_bytes())?,
        Some(parent) => {
            let parent = if parent == "clearmlctl" { String::new() } else { format!(".BR {parent} (1),\n") };
            page.write_all(format!(".SH \"SEE ALSO\"\n{parent}.BR clearmlctl (1),\n.BR clearmld (8)\n").as_bytes())?;
        }
    }
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .try_for_each(|sub| write_tree(directory, sub, Some(name)))
}

fn write_page(page: &mut dyn Write, command: &Command) -> io::Result<()> {
    // The version is at the foot of the page; the exit codes are a section of the first.
    let command = command.clone().disable_version_flag(true);
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    let (options, subcommands) = (command.get_arguments().next().is_some(), command.has_subcommands());
    let man = Man::new(command).title(name).section("1").date("").source(SOURCE).manual(MANUAL);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    if options {
        man.render_options_section(page)?;
    }
    if subcommands {
        man.render_subcommands_section(page)?;
    }
    Ok(())
}
