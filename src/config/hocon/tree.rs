//! The tree between text and [`Value`](super::Value): what was written, merged, with substitutions still open.

use std::collections::BTreeMap;

use super::{DEPTH_LIMIT, HoconError, KEY_LIMIT, Position};

pub(super) type Fields = BTreeMap<String, Item>;

pub(super) struct Item {
    pub(super) node: Node,
    pub(super) at: Position,
}

pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(String),
    Float(f64),
    Text(String),
    List(Vec<Item>),
    Object(Fields),
    /// A concatenation with at least one substitution in it.
    Open(Open),
}

pub(super) struct Open {
    pub(super) pieces: Vec<Piece>,
    /// What the key was before: looked back to by `${?itself}`, kept where nothing is substituted, merged below an object.
    pub(super) before: Option<Box<Item>>,
    /// How many are before it; bounds recursion.
    pub(super) generation: usize,
}

/// A part of a value: pyhocon concatenates parts that follow each other.
pub(super) enum Piece {
    /// Quoted text, and the blanks after it, which count only between pieces.
    Quoted(String, String),
    /// Unquoted text with the blanks after it.
    Unquoted(String),
    /// Anything else.
    Whole(Item),
    Reference(Reference),
}

pub(super) struct Reference {
    pub(super) path: String,
    pub(super) optional: bool,
    pub(super) blanks: String,
    pub(super) at: Position,
    /// `+=` looks back to its own key, wherever that is.
    pub(super) own_key: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Set,
    Append,
}

type Outcome<T> = Result<T, Box<HoconError>>;

fn error<T>(at: &Position, problem: impl Into<String>) -> Outcome<T> {
    Err(Box::new(HoconError { at: at.clone(), problem: problem.into() }))
}

/// Splits `a.b."c.d"` as pyhocon does; what is in quotes is one segment.
pub(super) fn split_key(key: &str) -> Vec<String> {
    let mut segments = Vec::new();
    let mut rest = key;
    while let Some(first) = rest.chars().next() {
        let quoted = rest.strip_prefix('"').and_then(|inner| inner.find('"').filter(|end| *end > 0));
        let end = match quoted {
            Some(end) => end + 2,
            None => rest.find(|c| "$}[]:=+#`^?!@*&.".contains(c)).unwrap_or(rest.len()),
        };
        if end == 0 {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        segments.push(rest[..end].trim_matches('"').to_owned());
        rest = &rest[end..];
    }
    segments
}

/// Carries out `key operator item` in `fields`.
pub(super) fn assign(fields: &mut Fields, key: &str, operator: Operator, item: Item) -> Outcome<()> {
    let at = item.at.clone();
    let path = split_key(key);
    if path.len() > KEY_LIMIT {
        return error(&at, format!("a key has more than {KEY_LIMIT} parts"));
    }
    let Some((last, parents)) = path.split_last() else {
        return error(&at, "the key has no name in it; quote it");
    };
    let item = if operator == Operator::Append { appended(key, item)? } else { item };
    let written_at = Some(parents.len());
    let item = parents
        .iter()
        .rev()
        .fold(single(last, item), |inner, segment| single(segment, Item { node: Node::Object(inner), at: at.clone() }));
    item.into_iter().try_for_each(|(key, item)| put(fields, key, item, written_at))
}

fn single(key: &str, item: Item) -> Fields {
    Fields::from([(key.to_owned(), item)])
}

/// `a += x` is `a = ${?a} x`.
fn appended(key: &str, item: Item) -> Outcome<Item> {
    let at = item.at;
    let node = match item.node {
        Node::Text(text) => Node::Text(format!(" {text}")),
        list @ Node::List(_) => list,
        object @ Node::Object(_) => return Ok(Item { node: object, at }),
        Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Open(_) => {
            return error(&at, "`+=` takes a list or a text; write the whole value with `=`");
        }
    };
    let own = Reference { path: key.to_owned(), optional: true, blanks: String::new(), at: at.clone(), own_key: true };
    let pieces = vec![Piece::Reference(own), Piece::Whole(Item { node, at: at.clone() })];
    Ok(Item { node: Node::Open(Open { pieces, before: None, generation: 0 }), at })
}

/// Puts one key. `written` is how many keys below this one the value was written, none below that: right there an
/// object may not meet a plain value; above and below it replaces it, as in pyhocon.
fn put(fields: &mut Fields, key: String, item: Item, written: Option<usize>) -> Outcome<()> {
    let Some(existing) = fields.remove(&key) else {
        fields.insert(key, item);
        return Ok(());
    };
    let merged = match (existing, item) {
        (Item { node: Node::Object(mut below), at }, Item { node: Node::Object(above), .. }) => {
            let inner = written.and_then(|keys| keys.checked_sub(1));
            above.into_iter().try_for_each(|(key, item)| put(&mut below, key, item, inner))?;
            Item { node: Node::Object(below), at }
        }
        (Item { node: Node::Open(mut open), at }, above @ Item { node: Node::Object(_), .. }) => {
            open.pieces.push(Piece::Whole(above));
            Item { node: Node::Open(open), at }
        }
        (below, Item { node: Node::Open(mut open), at }) => {
            open.generation = if let Node::Open(former) = &below.node { former.generation + 1 } else { 1 };
            if open.generation > DEPTH_LIMIT {
                return error(&at, format!("`{key}` is substituted over itself more than {DEPTH_LIMIT} times"));
            }
            open.before = Some(Box::new(below));
            Item { node: Node::Open(open), at }
        }
        (
            Item { node: Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_), at: before },
            Item { node: Node::Object(_), at },
        ) if written == Some(0) => {
            return error(
                &at,
                format!("`{key}` is a plain value on line {}, and an object here; keep one", before.line),
            );
        }
        (_, above) => above,
    };
    fields.insert(key, merged);
    Ok(())
}

/// Merges the fields of one object over those of another.
pub(super) fn merge(below: &mut Fields, above: Fields) -> Outcome<()> {
    above.into_iter().try_for_each(|(key, item)| put(below, key, item, None))
}
