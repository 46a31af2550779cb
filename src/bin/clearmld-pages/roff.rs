//! Text as roff has it, where a page is filled in from a table.

/// `clearmld 0.1.0`, at the foot of each page.
const SOURCE: &str = concat!("clearmld ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "ClearML workers";

/// With nothing in it that roff would take for a request or an escape.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if out.starts_with('.') {
        out.insert_str(0, "\\&");
    }
    out
}

/// The line that begins a page; without a date, which would say when it was built.
pub(crate) fn title(name: &str, section: u8) -> String {
    format!(".TH \"{}\" \"{section}\" \"\" \"{SOURCE}\" \"{MANUAL}\"\n", name.to_uppercase())
}

/// An item of a list: a bold term with what it takes, then sentences, each on a line of its own.
pub(crate) fn item(term: &str, takes: &str, sentences: &[String]) -> String {
    let takes = if takes.is_empty() { String::new() } else { format!(" \\fR({takes})") };
    let mut out = format!(".TP\n\\fB{}\\fR{takes}\n", escaped(term));
    for sentence in sentences {
        out.push_str(&escaped(sentence));
        out.push('\n');
    }
    out
}

/// The template with every `@NAME@` filled in.
pub(crate) fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = template.to_owned();
    for (name, value) in values {
        // A value ends with a line of its own, and so does the place it goes to.
        out = out.replace(&format!("@{name}@"), value.trim_end());
    }
    out
}
