//! clearmld(8): its options are taken from the definition, the rest is written by hand.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;
use clearmld::daemon::Arguments;

use crate::roff;

const TEMPLATE: &str = include_str!("../../../packaging/man/clearmld.8.in");

pub(crate) fn page() -> io::Result<Vec<u8>> {
    let mut command = Arguments::command().disable_help_flag(true).disable_version_flag(true);
    command.build();
    let man = Man::new(command);
    let mut head = roff::title("clearmld", 8).into_bytes();
    man.render_name_section(&mut head)?;
    man.render_synopsis_section(&mut head)?;
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    let (head, options) = (String::from_utf8_lossy(&head), String::from_utf8_lossy(&options));
    Ok(roff::filled(TEMPLATE, &[("HEAD", &head), ("OPTIONS", &options)]).into_bytes())
}
