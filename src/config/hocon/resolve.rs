//! Substitutions: `${key}` from the configuration, then from the environment.

use std::collections::BTreeMap;

use super::tree::{Fields, Item, Node, Open, Piece, Reference, split_key};
use super::{DEPTH_LIMIT, HoconError, Kind, Position, Value};
use crate::config::environment::Environment;

/// Values and bytes that a file may grow to: `a = ${b}${b}`, `b = ${c}${c}`, … doubles with each line.
const BUDGET: usize = 4 << 20;

type Outcome<T> = Result<T, Box<HoconError>>;

struct Resolver<'a> {
    root: &'a Fields,
    environment: &'a Environment,
    /// What is being resolved, by address: to meet one again is a circle, or a look back.
    open: Vec<*const Open>,
    budget: usize,
    /// Of the value that is being copied.
    depth: usize,
}

/// Closes every substitution.
pub(super) fn resolve(root: &Fields, at: Position, environment: &Environment) -> Result<Value, Vec<HoconError>> {
    let mut resolver = Resolver { root, environment, open: Vec::new(), budget: BUDGET, depth: 0 };
    let mut errors = Vec::new();
    let mut fields = BTreeMap::new();
    for (key, item) in root {
        match resolver.item(item) {
            Ok(Some(value)) => drop(fields.insert(key.clone(), value)),
            Ok(None) => {}
            Err(error) => errors.push(*error),
        }
    }
    if errors.is_empty() { Ok(Value { kind: Kind::Object(fields), at }) } else { Err(errors) }
}

/// Concatenates pieces without substitutions.
pub(super) fn join(pieces: Vec<Piece>, at: &Position) -> Outcome<Node> {
    let last = pieces.len().saturating_sub(1);
    let mut joined: Option<Node> = None;
    for (index, piece) in pieces.into_iter().enumerate() {
        let node = match piece {
            Piece::Quoted(text, blanks) => Node::Text(if index == last { text } else { text + &blanks }),
            Piece::Unquoted(text) if index == last => Node::Text(text.trim_end_matches([' ', '\t']).to_owned()),
            Piece::Unquoted(text) => Node::Text(text),
            Piece::Whole(item) => item.node,
            Piece::Reference(reference) => return Err(Box::new(unresolved(&reference))),
        };
        joined = Some(match joined {
            None => node,
            Some(before) => concatenated(before, node, at)?,
        });
    }
    Ok(joined.unwrap_or(Node::Text(String::new())))
}

fn concatenated(before: Node, after: Node, at: &Position) -> Outcome<Node> {
    match (before, after) {
        (Node::List(mut items), Node::List(more)) => {
            items.extend(more);
            Ok(Node::List(items))
        }
        (Node::Object(mut fields), Node::Object(more)) => {
            super::tree::merge(&mut fields, more)?;
            Ok(Node::Object(fields))
        }
        (before, after) => match (scalar(before), scalar(after)) {
            (Some(before), Some(after)) => Ok(Node::Text(before + &after)),
            _ => Err(mixed(at)),
        },
    }
}

fn scalar(node: Node) -> Option<String> {
    match node {
        Node::Bool(true) => Some("True".to_owned()),
        Node::Bool(false) => Some("False".to_owned()),
        Node::Integer(digits) => Some(digits),
        Node::Float(number) => Some(format!("{number:?}")),
        Node::Text(text) => Some(text),
        Node::Null | Node::List(_) | Node::Object(_) | Node::Open(_) => None,
    }
}

fn mixed(at: &Position) -> Box<HoconError> {
    let problem = "texts, lists, objects and null cannot follow each other in one value; separate them".to_owned();
    Box::new(HoconError { at: at.clone(), problem })
}

fn unresolved(reference: &Reference) -> HoconError {
    let problem = format!(
        "`${{{path}}}` is neither in the configuration nor in the environment; define it, or write `${{?{path}}}`",
        path = reference.path
    );
    HoconError { at: reference.at.clone(), problem }
}

impl Resolver<'_> {
    fn spend(&mut self, amount: usize, at: &Position) -> Outcome<()> {
        match self.budget.checked_sub(amount) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(Box::new(HoconError {
                at: at.clone(),
                problem: "substitutions make the configuration larger than 4 MiB".to_owned(),
            })),
        }
    }

    fn item(&mut self, item: &Item) -> Outcome<Option<Value>> {
        self.spend(1, &item.at)?;
        if self.depth >= 2 * DEPTH_LIMIT {
            let problem = format!("more than {} objects and lists are inside each other", 2 * DEPTH_LIMIT);
            return Err(Box::new(HoconError { at: item.at.clone(), problem }));
        }
        self.depth += 1;
        let value = self.copy(item);
        self.depth -= 1;
        value
    }

    fn copy(&mut self, item: &Item) -> Outcome<Option<Value>> {
        let kind = match &item.node {
            Node::Null => Kind::Null,
            Node::Bool(value) => Kind::Bool(*value),
            Node::Integer(digits) => Kind::Integer(digits.clone()),
            Node::Float(number) => Kind::Float(*number),
            Node::Text(text) => {
                self.spend(text.len(), &item.at)?;
                Kind::Text(text.clone())
            }
            Node::List(items) => {
                let mut values = Vec::new();
                for item in items {
                    let null = Value { kind: Kind::Null, at: item.at.clone() };
                    values.push(self.item(item)?.unwrap_or(null));
                }
                Kind::List(values)
            }
            Node::Object(fields) => {
                let mut values = BTreeMap::new();
                for (key, item) in fields {
                    if let Some(value) = self.item(item)? {
                        values.insert(key.clone(), value);
                    }
                }
                Kind::Object(values)
            }
            Node::Open(open) => return self.open(open, &item.at),
        };
        Ok(Some(Value { kind, at: item.at.clone() }))
    }

    fn open(&mut self, open: &Open, at: &Position) -> Outcome<Option<Value>> {
        if self.open.len() >= DEPTH_LIMIT {
            let problem = format!("more than {DEPTH_LIMIT} substitutions lead to each other");
            return Err(Box::new(HoconError { at: at.clone(), problem }));
        }
        self.open.push(std::ptr::from_ref(open));
        let result = self.pieces(open, at);
        self.open.pop();
        result
    }

    fn pieces(&mut self, open: &Open, at: &Position) -> Outcome<Option<Value>> {
        let last = open.pieces.len().saturating_sub(1);
        let mut joined: Option<Value> = None;
        for (index, piece) in open.pieces.iter().enumerate() {
            let text = |text: String| Some(Value { kind: Kind::Text(text), at: at.clone() });
            let value = match piece {
                Piece::Quoted(value, blanks) => {
                    text(if index == last { value.clone() } else { format!("{value}{blanks}") })
                }
                Piece::Unquoted(value) if index == last => text(value.trim_end_matches([' ', '\t']).to_owned()),
                Piece::Unquoted(value) => text(value.clone()),
                Piece::Whole(item) => self.item(item)?,
                Piece::Reference(reference) => {
                    self.reference(reference, open)?.map(|value| match value.scalar_text().filter(|_| index != last) {
                        Some(scalar) => Value { kind: Kind::Text(scalar + &reference.blanks), at: value.at },
                        None => value,
                    })
                }
            };
            joined = match (joined, value) {
                (Some(before), Some(value)) => Some(self.concatenate(before, value, at)?),
                (one, None) | (None, one) => one,
            };
        }
        let Some(before) = &open.before else { return Ok(joined) };
        match joined {
            None => self.item(before),
            Some(value) if matches!(value.kind, Kind::Object(_)) => {
                let mut below = self.item(before)?;
                Ok(Some(match below.take() {
                    Some(mut below) if matches!(below.kind, Kind::Object(_)) => {
                        below.merge(value);
                        below
                    }
                    Some(_) | None => value,
                }))
            }
            Some(value) => Ok(Some(Value { at: at.clone(), ..value })),
        }
    }

    fn concatenate(&mut self, mut before: Value, after: Value, at: &Position) -> Outcome<Value> {
        match (&mut before.kind, after) {
            (Kind::List(items), Value { kind: Kind::List(more), .. }) => items.extend(more),
            (Kind::Object(_), after @ Value { kind: Kind::Object(_), .. }) => before.merge(after),
            (_, after) => match (before.scalar_text(), after.scalar_text()) {
                (Some(mut text), Some(more)) => {
                    self.spend(text.len() + more.len(), at)?;
                    text.push_str(&more);
                    before.kind = Kind::Text(text);
                }
                _ => return Err(mixed(at)),
            },
        }
        Ok(Value { at: at.clone(), ..before })
    }

    fn reference(&mut self, reference: &Reference, from: &Open) -> Outcome<Option<Value>> {
        if reference.own_key {
            return from.before.as_deref().map_or(Ok(None), |before| self.item(before));
        }
        let path = split_key(&reference.path);
        let root = self.root;
        let found = match path.split_first() {
            Some((first, rest)) => match root.get(first) {
                Some(item) => self.follow(item, rest, reference)?,
                None => None,
            },
            None => None,
        };
        match found {
            // A null that is substituted is as if it were not there, to pyhocon.
            Some(value) => Ok(Some(value).filter(|value| !matches!(value.kind, Kind::Null))),
            None => match self.environment.text(&reference.path) {
                Some(text) => {
                    self.spend(text.len(), &reference.at)?;
                    Ok(Some(Value { kind: Kind::Text(text), at: reference.at.clone() }))
                }
                None if reference.optional => Ok(None),
                None => Err(Box::new(unresolved(reference))),
            },
        }
    }

    fn follow(&mut self, item: &Item, path: &[String], reference: &Reference) -> Outcome<Option<Value>> {
        match (&item.node, path.split_first()) {
            (Node::Object(fields), Some((first, rest))) => match fields.get(first) {
                Some(inner) => self.follow(inner, rest, reference),
                None => Ok(None),
            },
            (Node::Open(open), _) => {
                let value = if self.open.contains(&std::ptr::from_ref(open)) {
                    match &open.before {
                        Some(before) => return self.follow(before, path, reference),
                        None if reference.optional => None,
                        None if self.environment.text(&reference.path).is_some() => None,
                        None => {
                            let problem = format!("`${{{}}}` leads back to itself; break the circle", reference.path);
                            return Err(Box::new(HoconError { at: reference.at.clone(), problem }));
                        }
                    }
                } else {
                    self.open(open, &item.at)?
                };
                let keys: Vec<&str> = path.iter().map(String::as_str).collect();
                Ok(value.and_then(|value| value.get(&keys).cloned()))
            }
            (_, None) => self.item(item),
            (_, Some(_)) => Ok(None),
        }
    }
}
