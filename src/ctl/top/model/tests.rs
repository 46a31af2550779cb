use super::*;

pub(in crate::ctl::top) fn worker(name: &str, activity: v1::WorkerActivity, run: Option<&str>) -> v1::Worker {
    let mut worker = v1::Worker { name: name.into(), gpus: "none".into(), ..v1::Worker::default() };
    worker.set_activity(activity);
    worker.set_intent(v1::WorkerIntent::Active);
    worker.run_id = run.map(str::to_owned);
    worker
}

pub(in crate::ctl::top) fn run(id: &str, live: bool) -> v1::Run {
    let phase = if live { v1::RunPhase::Running } else { v1::RunPhase::Settled };
    v1::Run { id: id.into(), task_name: format!("task of {id}"), phase: phase.into(), live, ..v1::Run::default() }
}

pub(in crate::ctl::top) fn picture() -> Picture {
    Picture {
        workers: vec![
            worker("h:0", v1::WorkerActivity::Busy, Some("run0")),
            worker("h:1", v1::WorkerActivity::Stopped, None),
        ],
        runs: vec![run("run0", true), run("run1", false)],
        ..Picture::default()
    }
}

fn model() -> Model {
    let mut model = Model::default();
    model.hear(News::Picture(Box::new(picture())));
    model
}

#[test]
fn keys_move_over_workers_and_runs_and_stay_at_the_ends() {
    let mut model = model();
    let mut seen = Vec::new();
    for key in [Key::Up, Key::Down, Key::Other('j'), Key::Down, Key::Down, Key::Other('k')] {
        assert_eq!(model.press(key), None);
        seen.push(model.chosen.clone().expect("chosen"));
    }
    let (worker, run) = (|n: &str| Choice::Worker(n.into()), |n: &str| Choice::Run(n.into()));
    assert_eq!(seen, [worker("h:0"), worker("h:1"), run("run0"), run("run1"), run("run1"), run("run0")]);
}

#[test]
fn a_run_is_stopped_only_when_it_was_confirmed() {
    let mut model = model();
    model.chosen = Some(Choice::Run("run0".into()));
    assert_eq!(model.press(Key::Other('s')), None);
    assert!(matches!(&model.mode, Mode::Confirm { question, .. } if question.contains("run0")));
    assert_eq!(model.press(Key::Enter), None, "only y agrees");
    assert_eq!(model.notice.as_deref(), Some("nothing was changed"));
    model.press(Key::Other('s'));
    assert_eq!(model.press(Key::Other('y')), Some(Wish::Ask(Asked::StopRun("run0".into()))));
    model.chosen = Some(Choice::Run("run1".into()));
    model.press(Key::Other('s'));
    assert_eq!(model.notice.as_deref(), Some("this run has ended already"));
}

#[test]
fn enter_follows_the_run_of_a_worker_and_escape_comes_back() {
    let mut model = model();
    assert_eq!(model.press(Key::Enter), Some(Wish::Ask(Asked::Follow("run0".into()))));
    model.hear(News::Log { run: "run0".into(), text: "one\ntw".into() });
    model.hear(News::Log { run: "run0".into(), text: "o\n".into() });
    model.hear(News::Log { run: "another".into(), text: "x".into() });
    let Mode::Log { lines, .. } = &model.mode else { panic!("{:?}", model.mode) };
    assert_eq!(lines.iter().map(String::as_str).collect::<Vec<_>>(), ["one", "two", ""]);
    assert_eq!(model.press(Key::Other('s')), None, "no order is given from a log");
    assert_eq!(model.press(Key::Escape), Some(Wish::Ask(Asked::Unfollow)));
    assert_eq!(model.mode, Mode::List);
    model.chosen = Some(Choice::Worker("h:1".into()));
    assert_eq!(model.press(Key::Enter), None);
    assert!(model.notice.expect("told").contains("no run"));
}

#[test]
fn d_drains_and_resumes_and_q_quits_but_not_from_a_question() {
    let mut model = model();
    assert_eq!(model.press(Key::Other('d')), Some(Wish::Ask(Asked::Drain)));
    model.picture.status.draining = true;
    assert_eq!(model.press(Key::Other('d')), Some(Wish::Ask(Asked::Resume)));
    model.press(Key::Other('s'));
    assert_eq!(model.press(Key::Other('q')), None, "q answers the question with no");
    assert_eq!(model.press(Key::Other('q')), Some(Wish::Quit));
    assert_eq!(model.press(Key::Quit), Some(Wish::Quit), "Ctrl-C always");
}

#[test]
fn a_choice_that_is_gone_moves_to_what_there_is() {
    let mut model = model();
    model.chosen = Some(Choice::Run("run1".into()));
    model.hear(News::Picture(Box::default()));
    assert_eq!(model.chosen, None);
    assert_eq!(model.press(Key::Down), None);
    assert_eq!(model.press(Key::Other('s')), None);
    model.hear(News::Picture(Box::new(picture())));
    assert_eq!(model.chosen, Some(Choice::Worker("h:0".into())));
}

#[test]
fn rates_are_differences_of_two_pictures() {
    let at = |at_unix_ms, busy, run| Picture {
        figures: v1::HostFigures {
            at_unix_ms,
            cpu_busy_seconds: Some(busy),
            cpus: Some(4),
            runs: vec![v1::RunFigures { run_id: "run0".into(), cpu_seconds: Some(run), ..v1::RunFigures::default() }],
            ..v1::HostFigures::default()
        },
        ..picture()
    };
    let mut model = Model::default();
    model.hear(News::Picture(Box::new(at(1000, 10.0, 5.0))));
    assert_eq!(model.cpu, None);
    model.hear(News::Picture(Box::new(at(3000, 14.0, 8.0))));
    assert_eq!((model.cpu, model.run_cpu.get("run0").copied()), (Some(0.5), Some(1.5)));
}

#[test]
fn a_daemon_that_goes_and_comes_back_is_shown_as_both() {
    let mut model = model();
    model.hear(News::Lost("no such socket".into()));
    assert_eq!(model.link, Link::Lost("no such socket".into()));
    assert_eq!(model.picture.workers.len(), 2, "what was known stays on the screen");
    model.hear(News::Picture(Box::new(picture())));
    assert_eq!(model.link, Link::Up);
}
