use proptest::prelude::*;

use super::*;

fn read_plain(text: &str) -> Result<serde_json::Value, String> {
    read_text(text, "test.conf", &Environment::default())
        .map(|document| document.root.to_json())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn an_error_names_file_line_and_column_but_not_the_value() {
    let error = read_plain("api {\n  secret_key = hunter2@home\n}").unwrap_err();
    assert!(error.starts_with("test.conf:2:23: '@' cannot be in an unquoted value"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn appending_keeps_the_former_value_at_any_depth() {
    assert_eq!(read_plain("x { a = [1]\n a += [2] }").unwrap(), serde_json::json!({"x": {"a": [1, 2]}}));
}

#[test]
fn a_period_is_text_wherever_it_stands() {
    assert_eq!(read_plain("a = 10d").unwrap(), serde_json::json!({"a": "10d"}));
}

#[test]
fn a_substitution_comes_from_the_environment_where_the_file_has_no_such_key() {
    let environment: Environment = [("SOME_HOME", "/h")].into_iter().collect();
    let document = read_text("a = ${SOME_HOME}/x", "test.conf", &environment).unwrap();
    assert_eq!(document.root.to_json(), serde_json::json!({"a": "/h/x"}));
}

#[test]
fn an_include_that_is_not_there_is_told() {
    let document = read_text("include \"nope.conf\"\na = 1", "test.conf", &Environment::default()).unwrap();
    assert_eq!(document.left_out.len(), 1);
}

#[test]
fn hostile_files_are_refused_not_followed() {
    let bomb: String = (0..64).map(|n| format!("a{n} = ${{a{}}}${{a{}}}\n", n + 1, n + 1)).collect();
    assert!(read_plain(&(bomb + "a64 = x")).unwrap_err().contains("substitutions"));
    for text in ["[".repeat(100_000), "a = ".to_owned() + &"[".repeat(100_000), "a{".repeat(100_000)] {
        assert!(read_plain(&text).is_err());
    }
    let key = "a.".repeat(10_000) + "b = 1";
    assert!(read_plain(&key).unwrap_err().contains("parts"));
    let chain: String = (0..100_000).map(|_| "a = ${?a}x\n").collect();
    assert!(read_plain(&chain).unwrap_err().contains("more than"));
}

#[test]
fn no_value_shows_in_debug_output() {
    let document = read_text("a = hunter2", "test.conf", &Environment::default()).unwrap();
    assert!(!format!("{document:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "([ab.:=+${}?\\[\\],#/\"\\\\ \n\r\té1e]|include|true|null|\"\"\"){0,40}") {
        let _ = read_plain(&text);
    }
}
