use super::*;
use proptest::prelude::*;

const TOKEN: &str = "eyJhbGciOi.geheim-geheim";

fn all(lines: &mut Lines, mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (used, line) = lines.next(bytes, 0);
        assert!(used > 0, "it must go on");
        bytes = &bytes[used..];
        found.extend(line);
    }
    found
}

fn shown(bytes: &[u8]) -> Vec<String> {
    let mut lines = Lines::new([TOKEN.as_bytes().to_vec()]);
    let mut found = all(&mut lines, bytes);
    found.extend(lines.flush());
    found
}

#[test]
fn lines_are_whole_blank_ones_are_left_out_and_a_bar_leaves_its_last_state() {
    assert_eq!(shown(b"one\n\n  \ntwo\r\n10%\r20%\r30%\nend"), ["one", "two", "30%", "end"]);
    assert_eq!(shown(b"10%\r20%\r"), ["20%"]);
}

#[test]
fn what_a_terminal_would_obey_is_gone_and_broken_bytes_are_replaced() {
    assert_eq!(shown(b"\x1b[31mred\x1b[0m \x1b]0;title\x07x \x1b]0;t\x1b\\y\n"), ["red x y"]);
    assert_eq!(shown(b"a\0b\x08\xff\tc\n"), ["a\u{fffd}b\u{fffd}\u{fffd}\tc"]);
    assert_eq!(shown(b"\x1b[31\n\x1b\n"), Vec::<String>::new());
}

#[test]
fn a_secret_is_blackened_wherever_the_line_is_cut() {
    assert_eq!(shown(format!("a {TOKEN} b {TOKEN}\n").as_bytes()), ["a **** b ****"]);
    for filler in LONGEST - TOKEN.len() - 2..LONGEST + 2 {
        let text = format!("{}{TOKEN}{}", "x".repeat(filler), "y".repeat(100));
        let found = shown(text.as_bytes());
        assert!(found.iter().all(|line| !line.contains("geheim") && !line.contains("eyJ")), "{filler}");
        assert_eq!(found.concat().matches("****").count(), 1, "{filler}");
    }
}

#[test]
fn a_long_line_becomes_several_and_no_character_is_cut_in_two() {
    let text = "é".repeat(LONGEST);
    let found = shown(text.as_bytes());
    assert!(found.len() > 1 && found.iter().all(|line| line.len() <= LONGEST));
    assert_eq!(found.concat(), text);
}

#[test]
fn an_unfinished_line_waits_for_a_while_and_a_bar_for_longer() {
    let mut lines = Lines::default();
    assert_eq!(lines.due_in(7), None);
    lines.next(b"loading", 1000);
    lines.next(b" more", 1500);
    assert_eq!((lines.due_in(1500), lines.due_in(9000)), (Some(1500), Some(0)));
    assert_eq!((lines.flush(), lines.due_in(9000)), (Some("loading more".into()), None));
    lines.next(b"10%\r", 0);
    assert_eq!(lines.due_in(0), Some(BAR_PATIENCE_MS));
}

#[test]
fn a_bar_without_end_takes_no_memory() {
    let mut lines = Lines::default();
    for step in 0..10_000 {
        assert_eq!(lines.next(format!("\r{step:>100}").as_bytes(), 0).1, None);
    }
    assert!(lines.growing.len() < 300, "{}", lines.growing.len());
    assert_eq!(lines.flush().as_deref().map(str::trim), Some("9999"));
}

#[test]
fn what_is_skipped_is_counted_and_the_next_line_is_whole_again() {
    let mut lines = Lines::default();
    lines.next(b"begun", 0);
    assert_eq!(lines.skip(b" ended\ntwo\nthr", 0), (2, 5 + 7 + 4));
    assert_eq!(all(&mut lines, b"ee\nfour\n"), ["three", "four"]);
}

proptest! {
    #[test]
    fn plain_text_arrives_line_by_line_however_it_is_cut(
        text in "[ab é\n]{0,80}", cuts in proptest::collection::vec(0usize..160, 0..6),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (mut lines, mut found, mut at) = (Lines::default(), Vec::new(), 0);
        for cut in cuts.into_iter().chain([bytes.len()]) {
            found.extend(all(&mut lines, &bytes[at..cut]));
            at = cut;
        }
        found.extend(lines.flush());
        let wanted: Vec<&str> = text.split('\n').filter(|line| !line.trim().is_empty()).collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn no_bytes_break_it_and_nothing_shown_holds_a_control_character(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        for line in shown(&bytes) {
            prop_assert!(line.chars().all(|c| c == '\t' || !c.is_control()), "{line:?}");
        }
    }
}
