//! `agent.uptime` and `agent.downtime`.

use super::*;

fn loaded(text: &str) -> Config {
    Place::new().file("clearml.conf", text).load().unwrap()
}

#[test]
fn hours_of_workers_that_say_none_are_read_with_their_place() {
    let config = loaded("agent {\n uptime: [\"9-17 MON-FRI\", \"0 SAT-SUN\"]\n}\n");
    let hours = &config.agent.hours;
    assert_eq!(hours.timetable.uptime(), ["9-17 MON-FRI", "0 SAT-SUN"]);
    let place = hours.said_in.as_deref().unwrap();
    assert!(place.starts_with("agent.uptime, ") && place.ends_with("clearml.conf:2"), "{place}");
    assert!(config.describe().iter().any(|said| said.key == "agent.uptime" && said.value == "9-17 MON-FRI 0 SAT-SUN"));
    assert!(config.unsupported.is_empty() && config.warnings.is_empty(), "{config:?}");
    let hours = loaded("agent.downtime: \"22-3 FRI\"\n").agent.hours;
    assert_eq!(hours.timetable.downtime(), ["22-3 FRI"], "one text stands for a list of it");
    assert_eq!(loaded("agent { uptime: null, downtime: [] }\n").agent.hours, KeptHours::default());
}

#[test]
fn with_both_neither_has_an_effect_and_it_is_said_where() {
    let config = loaded("agent.uptime: [\"9-17 MON\"]\nagent.downtime: [\"9-17 TUE\"]\n");
    assert_eq!(config.agent.hours, KeptHours::default());
    let told: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("clearml.conf:2: agent.downtime: ") && told[0].contains("keep one"));
}

#[test]
fn hours_that_nobody_understands_are_an_error_with_their_line_and_what_to_write() {
    let errors = Place::new().file("clearml.conf", "agent {\n downtime: [\"25 SUN\"]\n}\n").errors();
    assert!(errors.contains("clearml.conf:2") && errors.contains("agent.downtime"), "{errors}");
    assert!(errors.contains("`25` is no hour") && errors.contains("write hours and days"), "{errors}");
    let errors = Place::new().file("clearml.conf", "agent.downtime: [\"0-24 SUN-SAT\"]\n").errors();
    assert!(errors.contains("it leaves no hour of the week"), "{errors}");
}
