use super::*;

fn uptime(entries: &[&str]) -> Timetable {
    let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
    Timetable::of(&entries, &[]).unwrap_or_else(|(_, error)| panic!("{entries:?}: {error}"))
}

fn at(text: &str) -> LocalHour {
    let (day, hour) = text.split_once(' ').expect("a day and an hour");
    LocalHour { day: day.parse().expect("a day"), hour: hour.parse().expect("an hour") }
}

/// The hours of a week that it has, as `SUN 0`.
fn all(table: &Timetable) -> Vec<String> {
    let hours = Weekday::ALL.into_iter().flat_map(|day| (0..24).map(move |hour| LocalHour { day, hour }));
    let open = hours.filter(|hour| table.check(*hour).is_ok());
    open.map(|hour| format!("{} {}", hour.day.short(), hour.hour)).collect()
}

fn hours(day: &str, hours: std::ops::Range<u8>) -> Vec<String> {
    hours.map(|hour| format!("{day} {hour}")).collect()
}

#[test]
fn what_clearml_agent_documents_means_the_same_here() {
    assert_eq!(all(&uptime(&["17-20 SUN,TUE"])), [hours("Sun", 17..20), hours("Tue", 17..20)].concat());
    assert_eq!(all(&uptime(&["20 FRI"])), hours("Fri", 20..24), "one hour is from then to 24");
    assert_eq!(all(&uptime(&["20-0 fri"])), hours("Fri", 20..24), "an end of 0 is 24, and days in any case");
    assert_eq!(all(&uptime(&["1-2,5-6 mon-tue"])).len(), 4);
    assert_eq!(all(&uptime(&["1-2 MON", "1-3  MON"])), hours("Mon", 1..3), "entries may overlap");
    assert_eq!(all(&uptime(&["0-24 SUN-SAT"])).len(), 168);
}

#[test]
fn what_clearml_agent_drops_counts_here() {
    // Its `if not (start and end)` takes hour 0 for none.
    assert_eq!(all(&uptime(&["0-6 MON"])), hours("Mon", 0..6));
    assert_eq!(all(&uptime(&["0 MON"])), hours("Mon", 0..24));
    assert_eq!(all(&uptime(&["0-0 MON"])), hours("Mon", 0..24));
    // Its ranges are Python's, which are empty from 22 to 3, and from Saturday to Sunday.
    assert_eq!(all(&uptime(&["22-3 FRI"])), [hours("Fri", 22..24), hours("Sat", 0..3)].concat());
    assert_eq!(all(&uptime(&["22-3 SAT"])), [hours("Sun", 0..3), hours("Sat", 22..24)].concat());
    assert_eq!(all(&uptime(&["9-10 SAT-SUN"])), ["Sun 9", "Sat 9"]);
    assert_eq!(all(&uptime(&["9-10 FRI-MON"])), ["Sun 9", "Mon 9", "Fri 9", "Sat 9"]);
    assert_eq!(all(&uptime(&["9-10 MON-SUN"])).len(), 7);
}

#[test]
fn a_worker_outside_its_hours_knows_until_when() {
    let table = uptime(&["22-6 MON-FRI"]);
    let until = |now: &str| table.check(at(now)).expect_err("outside").to_string();
    assert_eq!(until("MON 6"), "outside its hours until Mon 22:00");
    assert_eq!(until("SAT 6"), "outside its hours until Mon 22:00", "over the weekend");
    assert!(table.check(at("SAT 5")).is_ok() && table.check(at("MON 0")).is_err());
    let down = Timetable::of(&[], &["8-18 MON-FRI".to_owned()]).expect("read");
    assert_eq!(down.check(at("FRI 17")).expect_err("outside").until, at("FRI 18"));
    assert_eq!(down.check(at("FRI 18")), Ok(()));
    assert_eq!(Timetable::Always.check(at("SUN 0")), Ok(()));
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_entry_and_what_to_write() {
    for (entry, said) in [
        ("9-17", "hours and days"),
        ("MON-FRI 9-17", "`MON` is no hour"),
        ("9-17 MON FRI", "hours and days"),
        ("9-25 MON", "`25` is no hour"),
        ("+9 MON", "`+9` is no hour"),
        ("24 MON", "begins when the day is over"),
        ("8-8 MON", "ends where it begins"),
        ("9-17 MONDAY", "`MONDAY` is no day"),
        ("9-17 MON,", "`` is no day"),
        ("9--17 MON", "is no hour"),
        ("", "hours and days"),
        ("9\u{1b}[2J MON", r"\u{1b}"),
    ] {
        let (list, error) = Timetable::of(&[entry.to_owned()], &[]).expect_err(entry);
        assert_eq!(list, "uptime");
        let text = error.to_string();
        assert!(text.contains(said) && text.contains("`9-17 MON-FRI`") && !text.contains('\u{1b}'), "{entry}: {text}");
    }
    let one = || vec!["9 MON".to_owned()];
    assert_eq!(Timetable::of(&one(), &one()), Err(("downtime", InvalidHours::Both)));
    assert_eq!(Timetable::of(&[], &["0 SUN-SAT".to_owned()]), Err(("downtime", InvalidHours::Never)));
    let many = vec!["9 MON".to_owned(); 65];
    assert_eq!(Timetable::of(&many, &[]), Err(("uptime", InvalidHours::TooMany)));
}

#[test]
fn a_timetable_is_read_back_as_it_was_written_and_a_ledger_that_was_tampered_with_is_not_believed() {
    let table = uptime(&["22-3   FRI", "9-10 SAT-SUN"]);
    let text = serde_json::to_string(&table).expect("JSON");
    assert_eq!(text, r#"{"kind":"uptime","hours":["22-3 FRI","9-10 SAT-SUN"]}"#);
    assert_eq!(serde_json::from_str::<Timetable>(&text).expect("read"), table);
    assert!(serde_json::from_str::<Timetable>(r#"{"kind":"uptime","hours":["soon"]}"#).is_err());
    assert!(serde_json::from_str::<Timetable>(r#"{"kind":"uptime","hours":[]}"#).is_err(), "no hour at all");
}
