//! Documents, as the tests read them.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A Markdown file of the repository.
pub(crate) struct Document {
    /// From the repository's root.
    pub(crate) path: PathBuf,
    pub(crate) blocks: Vec<Block>,
    /// Code within a line.
    pub(crate) spans: Vec<String>,
    pub(crate) links: Vec<String>,
    /// As GitHub makes them of headings.
    pub(crate) anchors: Vec<String>,
}

/// A fenced block.
pub(crate) struct Block {
    /// Such as `sh host`; empty where it names nothing.
    pub(crate) info: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md, docs/ and the other documents at the top.
pub(crate) fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for directory in [root().to_owned(), root().join("docs")] {
        let entries = std::fs::read_dir(&directory).expect("a directory");
        paths.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    assert!(paths.len() >= 5, "{paths:?}");
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Document {
    let text = std::fs::read_to_string(path).expect("read");
    let relative = path.strip_prefix(root()).expect("below the root").to_owned();
    let mut document =
        Document { path: relative, blocks: Vec::new(), spans: Vec::new(), links: Vec::new(), anchors: Vec::new() };
    let (mut block, mut heading): (Option<Block>, Option<String>) = (None, None);
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                block = Some(Block { info: info.trim().to_owned(), text: String::new() });
            }
            Event::End(TagEnd::CodeBlock) => document.blocks.extend(block.take()),
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => document.anchors.extend(heading.take().map(|title| anchor(&title))),
            Event::Start(Tag::Link { dest_url, .. }) => document.links.push(dest_url.into_string()),
            Event::Text(text) => {
                if let Some(block) = &mut block {
                    block.text.push_str(&text);
                }
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::Code(code) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&code);
                }
                document.spans.push(code.into_string());
            }
            _ => {}
        }
    }
    document
}

/// Lower case, words joined by hyphens, other signs gone.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Holds a generated document to what it is generated from.
#[track_caller]
pub(crate) fn is_written(name: &str, wanted: &str) {
    let path = root().join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a document of the repository, on demand")]
        std::fs::write(&path, wanted).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{name} is out of date: UPDATE_DOCS=1 cargo test --test docs");
}
