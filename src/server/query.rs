//! The list parameters that all `get_all` calls share: filter, order, page, projection.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Value, json};

use super::call::{ApiError, Call, Object};
use super::store::{Kind, Narrow};
use super::time::Moment;

/// What may be asked of one kind of document.
pub(super) struct Listing {
    pub(super) kind: Kind,
    /// Fields compared with a list of values.
    pub(super) lists: &'static [&'static str],
    /// Fields matched by a regular expression.
    pub(super) patterns: &'static [&'static str],
    /// Fields compared as times.
    pub(super) dates: &'static [&'static str],
    /// The roots that `only_fields` may name.
    pub(super) roots: &'static [&'static str],
}

/// Also the default.
const MAX_PAGE: i64 = 500;

/// The documents that a call asks for, not yet projected; and the `scroll_id` for the next ones, if it scrolls.
pub(super) fn select(call: &Call<'_>, listing: &Listing) -> Result<(Vec<Value>, Option<String>), ApiError> {
    check_only_fields(call, listing)?;
    let filter = Filter::of(call, listing)?;
    let mut found = call.documents.list(listing.kind, &narrow(call)?)?;
    found.retain(|document| filter.takes(document));
    order(call, &mut found)?;
    page(call, found)
}

/// What SQL can narrow by: plain values, with no exclusion, operator or null among them.
fn narrow(call: &Call<'_>) -> Result<Narrow, ApiError> {
    let plain = |field: &str| -> Vec<String> {
        let values = wanted_values(&call.body, field);
        let texts: Option<Vec<String>> = values
            .iter()
            .map(|value| {
                value.as_str().filter(|text| !text.starts_with('-') && !text.starts_with("__$")).map(str::to_owned)
            })
            .collect();
        // SQLite binds at most 32 766 values; the filter decides in any case.
        texts.filter(|texts| texts.len() < 10_000).unwrap_or_default()
    };
    Ok(Narrow { ids: plain("id"), projects: plain("project"), statuses: plain("status") })
}

/// The values of a list field; a scalar is a list of one, an absent field an empty list.
fn wanted_values(body: &Object, field: &str) -> Vec<Value> {
    match body.get(field) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(scalar) => vec![scalar.clone()],
    }
}

/// One condition on a document.
enum Condition {
    List { field: String, any: Vec<Value>, all: Vec<Value>, none: Vec<Value> },
    Pattern { fields: Vec<String>, pattern: Regex, every: bool },
    Date { field: String, relation: String, moment: Moment },
}

struct Filter(Vec<Condition>);

// === impl Filter ===

impl Filter {
    fn of(call: &Call<'_>, listing: &Listing) -> Result<Self, ApiError> {
        let mut conditions = Vec::new();
        for field in listing.lists {
            let values = wanted_values(&call.body, field);
            if !values.is_empty() {
                conditions.push(list_condition(field, values));
            }
        }
        for field in listing.patterns {
            if let Some(pattern) = call.text(field)? {
                conditions.push(pattern_condition(vec![(*field).to_owned()], &pattern, false)?);
            }
        }
        for field in listing.dates {
            for value in wanted_values(&call.body, field) {
                conditions.push(date_condition(field, &value)?);
            }
        }
        for (name, every) in [("_any_", false), ("_all_", true)] {
            if let Some(multi) = call.object(name)?
                && let Some(pattern) = multi.get("pattern").and_then(Value::as_str)
            {
                let fields = wanted_values(multi, "fields");
                let fields = fields.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                conditions.push(pattern_condition(fields, pattern, every)?);
            }
        }
        if let Some(text) = call.text("search_text")? {
            let fields = ["id", "name"].map(str::to_owned).to_vec();
            conditions.push(pattern_condition(fields, &format!("(?i){}", regex::escape(&text)), false)?);
        }
        Ok(Self(conditions))
    }

    fn takes(&self, document: &Value) -> bool {
        self.0.iter().all(|condition| condition.takes(document))
    }
}

fn list_condition(field: &str, values: Vec<Value>) -> Condition {
    let (mut any, mut all, mut none) = (Vec::new(), Vec::new(), Vec::new());
    let (mut use_all, mut exclude_next) = (false, false);
    for value in values {
        match value.as_str() {
            Some("__$all" | "__$and") => use_all = true,
            Some("__$any" | "__$or") => use_all = false,
            Some("__$not") => exclude_next = true,
            Some(text) if text.starts_with('-') && text.len() > 1 => none.push(json!(&text[1..])),
            Some(_) | None if exclude_next => {
                none.push(value);
                exclude_next = false;
            }
            Some(_) | None if use_all => all.push(value),
            Some(_) | None => any.push(value),
        }
    }
    Condition::List { field: field.to_owned(), any, all, none }
}

fn pattern_condition(fields: Vec<String>, pattern: &str, every: bool) -> Result<Condition, ApiError> {
    let pattern = regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| ApiError::new(400, 21, format!("Invalid regular expression: {error}")))?;
    Ok(Condition::Pattern { fields, pattern, every })
}

fn date_condition(field: &str, value: &Value) -> Result<Condition, ApiError> {
    let text = value.as_str().ok_or_else(|| ApiError::bad_value(format!("{field}: a date is expected")))?;
    let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let (relation, date) = text.split_at(digits);
    let moment = Moment::parse(date).ok_or_else(|| ApiError::bad_value(format!("{field}: {text} is no date")))?;
    Ok(Condition::Date { field: field.to_owned(), relation: relation.trim().to_owned(), moment })
}

// === impl Condition ===

impl Condition {
    fn takes(&self, document: &Value) -> bool {
        match self {
            Self::List { field, any, all, none } => {
                let has = |wanted: &Value| holds(document, field, wanted);
                (any.is_empty() || any.iter().any(has)) && all.iter().all(has) && !none.iter().any(has)
            }
            Self::Pattern { fields, pattern, every } => {
                let mut matches = fields.iter().map(|field| {
                    at(document, field).and_then(Value::as_str).is_some_and(|text| pattern.is_match(text))
                });
                if *every { matches.all(|m| m) } else { matches.any(|m| m) }
            }
            Self::Date { field, relation, moment } => {
                let Some(ours) = at(document, field).and_then(Value::as_str).and_then(Moment::parse) else {
                    return false;
                };
                match relation.as_str() {
                    ">=" => ours >= *moment,
                    ">" => ours > *moment,
                    "<=" => ours <= *moment,
                    "<" => ours < *moment,
                    _ => ours == *moment,
                }
            }
        }
    }
}

/// Whether a field is, or as a list has, the wanted value; null is "empty or missing".
fn holds(document: &Value, field: &str, wanted: &Value) -> bool {
    match at(document, field) {
        None | Some(Value::Null) => wanted.is_null(),
        Some(Value::Array(items)) if wanted.is_null() => items.is_empty(),
        Some(Value::Array(items)) => items.contains(wanted),
        Some(value) => value == wanted,
    }
}

/// The value at a dotted path.
pub(super) fn at<'v>(document: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(document, |value, segment| value.get(segment))
}

fn order(call: &Call<'_>, found: &mut [Value]) -> Result<(), ApiError> {
    let Some(keys) = call.texts("order_by")? else {
        return Ok(());
    };
    found.sort_by(|left, right| {
        let by_keys = keys.iter().map(|key| {
            let (descending, path) = key.strip_prefix('-').map_or((false, key.as_str()), |path| (true, path));
            let ordering = compare(at(left, path), at(right, path));
            if descending { ordering.reverse() } else { ordering }
        });
        by_keys.fold(Ordering::Equal, Ordering::then).then_with(|| compare(left.get("id"), right.get("id")))
    });
    Ok(())
}

/// As the document store orders: missing, numbers, texts, the rest.
fn compare(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    let rank = |value: Option<&Value>| match value {
        None | Some(Value::Null) => 0,
        Some(Value::Number(_)) => 1,
        Some(Value::String(_)) => 2,
        Some(Value::Object(_) | Value::Array(_) | Value::Bool(_)) => 3,
    };
    match (left, right) {
        (Some(Value::Number(left)), Some(Value::Number(right))) => {
            left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Some(Value::String(left)), Some(Value::String(right))) => left.cmp(right),
        _ => rank(left).cmp(&rank(right)),
    }
}

/// Cuts one page out. A `scroll_id` of ours is only the place reached: a list is read anew each time.
fn page(call: &Call<'_>, found: Vec<Value>) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let usize_of = |number: i64| usize::try_from(number.max(0)).unwrap_or(0);
    let size = call.integer("size")?;
    let scroll = call.text("scroll_id")?;
    if size.is_some() || scroll.is_some() {
        let start: usize = match scroll.as_deref() {
            None | Some("") => 0,
            Some(text) => text
                .strip_prefix("at-")
                .and_then(|place| place.parse().ok())
                .ok_or_else(|| ApiError::new(400, 1104, format!("Invalid scroll id: {text}")))?,
        };
        let size = usize_of(size.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE));
        let next = start.saturating_add(size);
        return Ok((found.into_iter().skip(start).take(size).collect(), Some(format!("at-{next}"))));
    }
    let page_size = call.integer("page_size")?.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let page = call.integer("page")?.unwrap_or(0);
    let skip = usize_of(page.saturating_mul(page_size));
    Ok((found.into_iter().skip(skip).take(usize_of(page_size)).collect(), None))
}

/// A name that no document of the kind has is refused, as a typing mistake would else give empty answers.
fn check_only_fields(call: &Call<'_>, listing: &Listing) -> Result<(), ApiError> {
    let unknown = call.texts("only_fields")?.unwrap_or_default().into_iter().find(|field| {
        let root = field.trim_start_matches('-').split('.').next().unwrap_or_default();
        !listing.roots.contains(&root)
    });
    unknown.map_or(Ok(()), |field| Err(ApiError::new(400, 14, format!("Invalid fields: field={field}"))))
}

/// Leaves of a document what `only_fields` names; all of it where it names nothing.
pub(super) fn project(call: &Call<'_>, document: Value) -> Result<Value, ApiError> {
    let fields = call.texts("only_fields")?.unwrap_or_default();
    if fields.is_empty() {
        return Ok(document);
    }
    let mut projected = json!({});
    for field in &fields {
        let segments: Vec<&str> = field.split('.').collect();
        copy(&document, &mut projected, &segments);
    }
    Ok(projected)
}

/// Copies one path. A missing leaf leaves its existing parents as `{}`, as the document store does.
fn copy(from: &Value, to: &mut Value, segments: &[&str]) {
    let Some((first, rest)) = segments.split_first() else {
        *to = from.clone();
        return;
    };
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let Some(inner) = from.get(*first) else { return };
            if rest.is_empty() {
                to.insert((*first).to_owned(), inner.clone());
                return;
            }
            let empty = match inner {
                Value::Object(_) => json!({}),
                Value::Array(items) => json!(vec![json!({}); items.len()]),
                _ => return,
            };
            copy(inner, to.entry(*first).or_insert(empty), rest);
        }
        (Value::Array(from), Value::Array(to)) => {
            for (from, to) in from.iter().zip(to) {
                copy(from, to, segments);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_leaf_leaves_its_parent_and_a_missing_parent_leaves_nothing() {
        let document = json!({"id": "1", "runtime": {"a": 1}, "models": {"input": [{"model": "m", "name": "n"}]}});
        let mut projected = json!({});
        for path in ["runtime._abort_poll_freq", "container.image", "models.input.model"] {
            copy(&document, &mut projected, &path.split('.').collect::<Vec<_>>());
        }
        assert_eq!(projected, json!({"runtime": {}, "models": {"input": [{"model": "m"}]}}));
    }

    #[test]
    fn a_list_filter_excludes_by_minus_and_by_not_and_can_ask_for_all() {
        let document = json!({"tags": ["a", "b"], "status": "queued"});
        let takes = |values: Value| match values {
            Value::Array(values) => list_condition("tags", values).takes(&document),
            _ => panic!("a list"),
        };
        assert!(takes(json!(["a", "x"])));
        assert!(!takes(json!(["x"])));
        assert!(!takes(json!(["-a"])));
        assert!(!takes(json!(["__$not", "b"])));
        assert!(takes(json!(["__$all", "a", "b"])));
        assert!(!takes(json!(["__$all", "a", "x"])));
        assert!(!takes(json!([null])));
    }
}
