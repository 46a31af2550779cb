//! What a request says: its JSON body, or its lines, with the query string merged over it.

use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use super::{ApiError, Object};

/// A request's words.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) body: Object,
    pub(super) lines: Vec<Value>,
}

/// Reads a body. The content type matters only for lines and forms; anything else is JSON.
pub(super) fn parse(headers: &HeaderMap, query: &str, bytes: &[u8]) -> Result<Parsed, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Byte for byte: with a charset behind it, the real server does not take it as lines either.
    if kind == "application/json-lines" {
        return Ok(Parsed { body: Object::new(), lines: parse_lines(bytes)? });
    }
    // curl says "form" of every body; a form never starts like an object.
    let is_object = bytes.trim_ascii_start().first() == Some(&b'{');
    let mut body = if kind.starts_with("application/x-www-form-urlencoded") && !is_object {
        let mut form = Object::new();
        merge_query(&mut form, &String::from_utf8_lossy(bytes));
        form
    } else {
        parse_object(bytes)?
    };
    merge_query(&mut body, query);
    let lines = if body.is_empty() { Vec::new() } else { vec![Value::Object(body.clone())] };
    Ok(Parsed { body, lines })
}

fn parse_object(bytes: &[u8]) -> Result<Object, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Object::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Object::new()),
        Ok(_) => Err(ApiError::new(400, 0, "Invalid request body: it must be a JSON object")),
        Err(error) => Err(ApiError::new(400, 0, format!("Invalid JSON body: {error}"))),
    }
}

fn parse_lines(bytes: &[u8]) -> Result<Vec<Value>, ApiError> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
    lines
        .enumerate()
        .map(|(index, line)| match serde_json::from_slice(line) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(ApiError::new(400, 0, format!("Invalid batch: line {index} is no JSON object"))),
            Err(error) => Err(ApiError::new(400, 0, format!("Invalid batch: line {index}: {error}"))),
        })
        .collect()
}

/// Merges `a=1&b.c=x&d=1&d=2` over a body.
fn merge_query(body: &mut Object, query: &str) {
    let mut seen: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decode(key);
        let as_list = key.ends_with("[]");
        let key = key.trim_end_matches("[]").to_owned();
        let repeated = seen.contains(&key);
        insert(body, &key, typed(decode(value)), as_list, repeated);
        seen.push(key);
    }
}

fn insert(body: &mut Object, key: &str, value: Value, as_list: bool, repeated: bool) {
    if let Some((first, rest)) = key.split_once('.')
        && let Value::Object(inner) = body.entry(first).or_insert_with(|| json!({}))
    {
        return insert(inner, rest, value, as_list, repeated);
    }
    match body.get_mut(key) {
        Some(Value::Array(items)) if repeated => items.push(value),
        Some(earlier) if repeated => *earlier = json!([earlier.take(), value]),
        Some(_) | None => {
            body.insert(key.to_owned(), if as_list { json!([value]) } else { value });
        }
    }
}

/// The query string has no types: what looks like a number or a flag is one.
fn typed(text: String) -> Value {
    match text.as_str() {
        "true" | "True" => return Value::Bool(true),
        "false" | "False" => return Value::Bool(false),
        _ => {}
    }
    let looks_numeric =
        text.bytes().any(|b| b.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'-' || b == b'.');
    if looks_numeric && let Ok(number) = text.parse::<i64>() {
        return json!(number);
    }
    if looks_numeric && let Ok(number) = text.parse::<f64>() {
        return json!(number);
    }
    Value::String(text)
}

/// Percent and plus decoding of a query; what is no escape stays as it is.
fn decode(text: &str) -> String {
    decode_path(&text.replace('+', " "))
}

/// Percent decoding of a path, where a plus is a plus.
pub(in crate::server) fn decode_path(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let escaped = bytes.get(index + 1..index + 3).filter(|_| *byte == b'%').and_then(|hex| {
            let hex = std::str::from_utf8(hex).ok().filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u8::from_str_radix(hex, 16).ok()
        });
        match escaped {
            Some(byte) => {
                decoded.push(byte);
                index += 3;
            }
            None => {
                decoded.push(*byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content_type: &str, query: &str, bytes: &str) -> Result<Parsed, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().expect("a header"));
        parse(&headers, query, bytes.as_bytes())
    }

    #[test]
    fn a_query_string_is_merged_over_the_body_with_types_lists_and_depth() {
        let query = "expiration_sec=3600&f=true&l=1&l=2&m[]=x&a.b=y%20z&n=1.5&hex=1e5";
        let parsed = body("text/plain", query, r#"{"expiration_sec":1,"k":"v"}"#).expect("parsed");
        let wanted = json!({
            "expiration_sec": 3600, "k": "v", "f": true, "l": [1, 2], "m": ["x"], "a": {"b": "y z"}, "n": 1.5,
            "hex": "1e5"
        });
        assert_eq!(Value::Object(parsed.body), wanted);
    }

    #[test]
    fn lines_are_lines_only_with_exactly_their_content_type() {
        let two = "{\"a\":1}\n{\"a\":2}\n";
        assert_eq!(body("application/json-lines", "", two).expect("parsed").lines.len(), 2);
        assert!(body("application/json-lines; charset=utf-8", "", two).is_err());
        assert!(body("application/json-lines", "", "{\"a\":1}\n3\n").is_err());
        assert_eq!(body("application/json", "", "{\"a\":1}").expect("parsed").lines.len(), 1);
    }
}
