//! What the documents name is there.

use std::collections::BTreeSet;
use std::process::Command;

use clap::Parser as _;
use clearmld::ctl::args::Cli;

use crate::reader::{Document, documents, root};

/// Languages that nobody runs.
const DATA: [&str; 7] = ["text", "toml", "yaml", "json", "python", "hocon", "ini"];

#[test]
fn every_block_says_what_it_is_and_shell_commands_say_who_runs_them() {
    for document in documents() {
        for block in &document.blocks {
            let known = match block.info.split_once(' ') {
                Some(("sh", tier)) => matches!(tier, "ci" | "host" | "booted" | "booted gpu" | "booted limits"),
                Some(("yaml", kind)) => kind == "cloud-init",
                Some(("toml", kind)) => matches!(kind, "clearmld.toml" | "worker"),
                Some(_) => false,
                None => DATA.contains(&block.info.as_str()),
            };
            assert!(known, "{}: a block is marked `{}`:\n{}", document.path.display(), block.info, block.text);
        }
    }
}

#[test]
fn commands_that_ci_runs_are_targets_of_the_makefile_which_ci_reaches() {
    let ci = std::fs::read_to_string(root().join(".ci/run")).expect("read");
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("read");
    for document in documents() {
        for line in document.blocks.iter().filter(|block| block.info == "sh ci").flat_map(|block| block.text.lines()) {
            let target = line.strip_prefix("make ").unwrap_or_else(|| panic!("{}: {line}", document.path.display()));
            let (target, _) = target.split_once(' ').unwrap_or((target, ""));
            let planned = Command::new("make").args(["--dry-run", target]).current_dir(root()).output().expect("make");
            assert!(planned.status.success(), "{}: {line}: {planned:?}", document.path.display());
            let reached = ci.contains(&format!("make {target}"))
                || makefile.lines().any(|line| line.contains("$(MAKE)") && line.contains(target))
                || makefile.lines().any(|line| line.starts_with("test") && line.contains(&format!(" {target}")));
            assert!(reached, "{}: nothing that CI runs makes `{target}`", document.path.display());
        }
    }
}

#[test]
fn every_clearmlctl_command_in_a_line_is_one_that_clearmlctl_takes() {
    let mut seen = 0;
    for document in documents() {
        for span in of_program(&document, "clearmlctl ") {
            // A usage in prose: `[--now]`, `NAME`, `…`.
            let plain = span.replace(['[', ']'], "").replace('…', "").replace(" > FILE", "");
            let words = shlex::split(&plain).unwrap_or_else(|| panic!("{}: {span}", document.path.display()));
            if let Err(error) = Cli::try_parse_from(words) {
                use clap::error::ErrorKind::{
                    DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, MissingRequiredArgument,
                };
                // Prose may name a command without what it is about.
                let named = matches!(
                    error.kind(),
                    DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand | MissingRequiredArgument
                );
                assert!(named, "{}: `{span}`:\n{error}", document.path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} commands were seen");
}

fn of_program<'a>(document: &'a Document, program: &'a str) -> impl Iterator<Item = &'a str> {
    document.spans.iter().map(String::as_str).filter(move |span| span.starts_with(program))
}

#[test]
fn every_link_to_a_file_of_the_repository_leads_somewhere() {
    let documents = documents();
    for document in &documents {
        for link in &document.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let base = document.path.parent().expect("a directory");
            let target = if file.is_empty() { document.path.clone() } else { base.join(file) };
            let full = root().join(&target).canonicalize();
            let full = full.unwrap_or_else(|error| panic!("{}: {link}: {error}", document.path.display()));
            let Some(anchor) = anchor else { continue };
            let there = documents.iter().find(|other| root().join(&other.path) == full);
            let anchors = &there.unwrap_or_else(|| panic!("{}: {link}", document.path.display())).anchors;
            assert!(anchors.iter().any(|a| a == anchor), "{}: {link}: {anchors:?}", document.path.display());
        }
    }
}

#[test]
fn every_cause_of_an_end_has_its_place_in_the_troubleshooting() {
    let proto = std::fs::read_to_string(root().join("proto/clearmld/v1/runs.proto")).expect("read");
    let (_, words) = proto.split_once("// One word: ").expect("the causes");
    let (words, _) = words.split_once(".\n").expect("their end");
    let words: Vec<&str> = words.split([',', '/', ' ', '\n']).filter(|word| !word.is_empty()).collect();
    let code = std::fs::read_to_string(root().join("src/domain/cause.rs")).expect("read");
    let (_, named) = code.split_once("pub fn word(").expect("the words");
    let (named, _) = named.split_once("pub fn ").expect("their end");
    let named: BTreeSet<&str> = named.split('"').skip(1).step_by(2).collect();
    assert_eq!(words.iter().copied().collect::<BTreeSet<_>>(), named, "the protocol names each cause");
    let documents = documents();
    let of = documents.iter().find(|document| document.path.ends_with("troubleshooting.md")).expect("the document");
    for word in words {
        assert!(of.anchors.iter().any(|anchor| anchor == word), "docs/troubleshooting.md says nothing of `{word}`");
    }
}
