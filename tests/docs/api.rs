//! docs/api.md is what the protocol's own comments say. `UPDATE_DOCS=1 cargo test --test docs` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clearmld::rpc::DESCRIPTORS;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

use crate::reader::is_written;

#[test]
fn the_api_reference_says_what_the_protocol_says() {
    is_written("docs/api.md", &rendered());
}

fn rendered() -> String {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("descriptors");
    let files = set.file.iter().filter(|file| file.package() == "clearmld.v1");
    let mut text =
        String::from("# API\n\nGenerated from proto/clearmld/v1 by `UPDATE_DOCS=1 cargo test --test docs`.\n\n");
    let mut services = String::new();
    for file in files {
        let comments = Comments::of(file);
        // The file that comes first by its meaning has the conventions at its top.
        if file.name().ends_with("/host.proto") {
            text.push_str(&quoted(comments.top()));
        }
        service(file, &comments, &mut services);
        messages(file, &comments, &mut services);
    }
    text.push_str("\nA client without any code of ours: tests/api/stock_client.py.\n\n");
    text + &services
}

fn service(file: &FileDescriptorProto, comments: &Comments, text: &mut String) {
    for (at, service) in file.service.iter().enumerate() {
        let _ = writeln!(text, "## {}\n\n{}", service.name(), quoted(comments.at(&[6, at])));
        for (index, method) in service.method.iter().enumerate() {
            let stream = |on: bool| if on { "stream " } else { "" };
            let (asked, answered) = (short(method.input_type()), short(method.output_type()));
            let (up, down) = (stream(method.client_streaming()), stream(method.server_streaming()));
            let _ = writeln!(text, "### {}.{}\n\n`{up}{asked}` → `{down}{answered}`\n", service.name(), method.name());
            let _ = writeln!(text, "{}", quoted(comments.at(&[6, at, 2, index])));
        }
    }
}

fn messages(file: &FileDescriptorProto, comments: &Comments, text: &mut String) {
    let title = file.name().rsplit('/').next().unwrap_or_default();
    let _ = writeln!(text, "### Messages of {title}\n");
    for (at, message) in file.message_type.iter().enumerate() {
        let _ = writeln!(text, "**{}**: {}", message.name(), one_line(comments.at(&[4, at])));
        for (index, field) in message.field.iter().enumerate() {
            let said = one_line(comments.at(&[4, at, 2, index]));
            let _ = writeln!(text, "* `{}` {}: {said}", field.name(), kind(field, message));
        }
        text.push('\n');
    }
    for (at, list) in file.enum_type.iter().enumerate() {
        let _ = writeln!(text, "**{}**: {}", list.name(), one_line(comments.at(&[5, at])));
        for (index, value) in list.value.iter().enumerate() {
            let _ = writeln!(text, "* `{}`: {}", value.name(), one_line(comments.at(&[5, at, 2, index])));
        }
        text.push('\n');
    }
}

fn kind(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let plain = match field.r#type() {
        Type::Message | Type::Enum => short(field.type_name()).to_owned(),
        other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    match (field.label(), field.proto3_optional(), field.oneof_index) {
        (Label::Repeated, ..) => format!("repeated {plain}"),
        (_, true, _) => format!("optional {plain}"),
        (_, false, Some(of)) => {
            let of = message.oneof_decl.get(usize::try_from(of).unwrap_or_default());
            format!("{plain}, one of `{}`", of.map(|of| of.name()).unwrap_or_default())
        }
        (_, false, None) => plain,
    }
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn one_line(comment: &str) -> String {
    quoted(comment).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A comment as Markdown: what looks like HTML is not.
fn quoted(comment: &str) -> String {
    let lines = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.map(|line| line.replace('<', "&lt;") + "\n").collect()
}

/// Comments by path (see descriptor.proto).
struct Comments {
    leading: BTreeMap<Vec<i32>, String>,
    top: String,
}

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let (mut leading, mut top) = (BTreeMap::new(), String::new());
        for location in file.source_code_info.iter().flat_map(|info| &info.location) {
            // The `syntax` line.
            if location.path == [12] {
                let detached = location.leading_detached_comments.iter().map(String::as_str);
                top = detached.chain([location.leading_comments()]).collect();
            }
            leading.insert(location.path.clone(), location.leading_comments().to_owned());
        }
        Self { leading, top }
    }

    fn top(&self) -> &str {
        &self.top
    }

    fn at(&self, path: &[usize]) -> &str {
        let path: Vec<i32> = path.iter().map(|step| i32::try_from(*step).expect("small")).collect();
        self.leading.get(&path).map(String::as_str).unwrap_or_default()
    }
}
