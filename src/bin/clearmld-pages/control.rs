//! clearmlctl(1), a page for each of its subcommands, and its completions.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use clearmld::ctl::args::Cli;

use crate::roff;

const TAIL: &str = include_str!("../../../packaging/man/clearmlctl.1.in");

pub(crate) fn write_completions(directory: &Path) -> io::Result<()> {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "clearmlctl", directory)?;
    }
    Ok(())
}

pub(crate) fn write_pages(directory: &Path) -> io::Result<()> {
    // The version is at the foot of the page, and the page is the help; both flags are known.
    let mut root = Cli::command().disable_help_subcommand(true).disable_version_flag(true);
    without_help(&mut root);
    root.build();
    write_tree(directory, &root, None)
}

fn without_help(command: &mut Command) {
    *command = command.clone().disable_help_flag(true);
    command.get_subcommands_mut().for_each(without_help);
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
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let (options, subcommands) = (command.get_arguments().next().is_some(), command.has_subcommands());
    page.write_all(roff::title(name, 1).as_bytes())?;
    let man = Man::new(command.clone());
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
