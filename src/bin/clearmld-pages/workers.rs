//! clearmld-workers(5), whose keys are those of the example file: a test of the reader holds that it has them all.

use crate::roff;

const TEMPLATE: &str = include_str!("../../../packaging/man/clearmld-workers.5.in");

pub(crate) fn page(example: &str) -> Vec<u8> {
    let keys: String = example.split("\n\n").filter_map(item).collect();
    roff::filled(TEMPLATE, &[("TITLE", &roff::title("clearmld-workers", 5)), ("KEYS", &keys)]).into_bytes()
}

/// A paragraph that ends with `key = value`, commented out or not.
fn item(paragraph: &str) -> Option<String> {
    let (text, setting) = paragraph.trim().rsplit_once('\n')?;
    let setting = setting.trim_start_matches('#');
    let (key, _) = setting.split_once(" = ")?;
    let text: Vec<String> = text.lines().map(|line| line.trim_start_matches(['#', ' ']).to_owned()).collect();
    Some(roff::item(key, "", &[text.join(" "), format!("Example: {setting}")]))
}
