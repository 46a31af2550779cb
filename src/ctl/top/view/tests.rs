use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::feed::News;
use super::super::model::tests::{picture, run, worker};
use super::super::model::{Key, Picture};
use super::*;

/// What is on a screen of that size, a line a row.
fn drawn(model: &Model, width: u16, height: u16, colour: bool) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, model, colour)).expect("drawn");
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(row).collect::<Vec<_>>().join("\n")
}

fn shown(picture: Picture) -> Model {
    let mut model = Model::default();
    model.hear(News::Picture(Box::new(picture)));
    model
}

fn line<'a>(screen: &'a str, with: &str) -> &'a str {
    screen.lines().find(|line| line.contains(with)).unwrap_or_else(|| panic!("no `{with}` in\n{screen}"))
}

#[test]
fn a_stopped_worker_is_shown_as_stopped_and_a_busy_one_as_busy() {
    let screen = drawn(&shown(picture()), 100, 24, false);
    assert!(line(&screen, "h:0").contains("busy") && line(&screen, "h:1").contains("stopped"), "{screen}");
    assert!(line(&screen, "run0").contains("running") && line(&screen, "run0").contains("task of run0"), "{screen}");
    assert!(line(&screen, "quit").contains("d drain"), "{screen}");
}

#[test]
fn a_workers_name_is_whole_where_there_is_room_beside_its_problem() {
    let mut hindered = worker("a-rather-long-hostname:gpu0,1", v1::WorkerActivity::Idle, None);
    hindered.problem = Some("its queue is gone".into());
    let screen = drawn(&shown(Picture { workers: vec![hindered], ..Picture::default() }), 100, 24, false);
    let line = line(&screen, "a-rather-long-hostname:gpu0,1");
    assert!(line.contains("idle") && line.contains("its queue is gone"), "{screen}");
}

#[test]
fn a_host_without_workers_says_how_to_get_one() {
    let screen = drawn(&shown(Picture::default()), 100, 24, false);
    assert!(screen.contains("clearmlctl worker add") && screen.contains("no runs yet"), "{screen}");
}

#[test]
fn host_and_gpus_are_shown_in_units_that_people_use() {
    let figures = v1::HostFigures {
        cpus: Some(8),
        load: Some(1.5),
        memory_size: Some(64 << 30),
        memory_available: Some(48 << 30),
        disk_size: Some(100 << 30),
        disk_free: Some(25 << 30),
        ..v1::HostFigures::default()
    };
    let gpu = v1::Gpu {
        name: "A100".into(),
        figures: Some(v1::GpuFigures {
            memory_total: Some(80 << 30),
            memory_used: Some(8 << 30),
            usage: Some(37),
            temperature: Some(61),
        }),
        run_ids: vec!["run0".into()],
        ..v1::Gpu::default()
    };
    let lost = v1::Gpu { index: 1, unusable: Some("it has fallen off its bus".into()), ..v1::Gpu::default() };
    let screen = drawn(&shown(Picture { figures, gpus: vec![gpu, lost], ..picture() }), 120, 24, false);
    assert!(screen.contains("memory 16.0 of 64.0 GiB") && screen.contains("disk 25.0 of 100.0 GiB free"), "{screen}");
    let gpu = line(&screen, "A100");
    assert!(
        gpu.contains("37%") && gpu.contains("8.0/80.0 GiB") && gpu.contains("61 °C") && gpu.contains("held"),
        "{gpu}"
    );
    assert!(screen.contains("fallen off its bus"), "{screen}");
}

#[test]
fn a_narrow_or_tiny_terminal_shows_what_fits_and_breaks_nothing() {
    let model = shown(picture());
    let narrow = drawn(&model, 40, 16, false);
    assert!(narrow.contains("RUN") && !narrow.contains("CORES") && narrow.contains("h:0"), "{narrow}");
    for (width, height) in [(1, 1), (5, 3), (20, 2), (300, 4)] {
        drawn(&model, width, height, true);
    }
}

#[test]
fn a_chosen_row_far_below_is_in_sight() {
    let workers = (0..100).map(|n| worker(&format!("host:{n:03}"), v1::WorkerActivity::Idle, None)).collect();
    let mut model = shown(Picture { workers, ..Picture::default() });
    for _ in 0..60 {
        model.press(Key::Down);
    }
    let screen = drawn(&model, 80, 24, false);
    assert!(screen.contains("host:060") && !screen.contains("host:000"), "{screen}");
}

#[test]
fn a_daemon_that_is_away_is_said_over_what_was_known() {
    let mut model = shown(picture());
    model.hear(News::Lost("connection refused".into()));
    let screen = drawn(&model, 120, 24, false);
    assert!(screen.contains("clearmld does not answer, what is below is old") && screen.contains("h:0"), "{screen}");
    model.hear(News::Picture(Box::new(picture())));
    assert!(!drawn(&model, 120, 24, false).contains("does not answer"));
}

#[test]
fn a_question_stands_at_the_bottom_until_it_is_answered() {
    let mut model = shown(picture());
    model.press(Key::Other('s'));
    let screen = drawn(&model, 100, 24, false);
    assert!(screen.lines().last().is_some_and(|last| last.starts_with("stop worker h:0?")), "{screen}");
}

#[test]
fn a_log_shows_its_end_and_nothing_that_a_terminal_would_obey() {
    let mut model = shown(picture());
    model.press(Key::Enter);
    let text = format!("{}10%\r20%\r\n\u{1b}[31mred\u{1b}[0m \u{1b}]0;owned\u{7}\nlast", "old\n".repeat(50));
    model.hear(News::Log { run: "run0".into(), text });
    let screen = drawn(&model, 80, 12, true);
    assert!(screen.contains("log of run run0") && screen.contains("last") && line(&screen, "20%") == "20%", "{screen}");
    assert!(line(&screen, "red").starts_with("red \\u{1b}]0;owned"), "{screen}");
}

#[test]
fn without_colour_nothing_is_coloured_and_a_hostile_name_is_escaped() {
    let mut hostile = run("run9", true);
    hostile.task_name = "\u{1b}[2Jx\u{202e}".into();
    let model = shown(Picture { runs: vec![hostile], ..picture() });
    let mut terminal = Terminal::new(TestBackend::new(100, 24)).expect("a terminal");
    terminal.draw(|frame| draw(frame, &model, false)).expect("drawn");
    assert!(terminal.backend().buffer().content().iter().all(|cell| cell.fg == Color::Reset));
    assert!(drawn(&model, 100, 24, false).contains("\\u{1b}[2Jx\\u{202e}"));
    terminal.draw(|frame| draw(frame, &model, true)).expect("drawn");
    assert!(terminal.backend().buffer().content().iter().any(|cell| cell.fg == Color::Green));
}
