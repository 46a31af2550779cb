//! Draws a [`Model`]. Pure: the same model on the same area is the same picture. Words bear the meaning; colour only
//! helps. What came from servers and tasks passes [`text`] first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table};

use super::model::{Choice, Link, Mode, Model};
use crate::ctl::render::time::span;
use crate::ctl::render::{text, words};
use crate::rpc::v1;

/// Below it only what is most needed is shown.
const NARROW: u16 = 70;
/// What an empty cell shows.
const NONE: &str = "-";

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, colour: bool) {
    let paint = Paint { colour };
    let gpus = u16::try_from(model.picture.gpus.len()).unwrap_or(u16::MAX).min(8);
    let workers = u16::try_from(model.picture.workers.len().max(1)).unwrap_or(u16::MAX);
    let third = (frame.area().height / 3).max(2);
    let [head, gpu_area, worker_area, rest, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(if gpus == 0 { 0 } else { gpus + 1 }),
        Constraint::Length((workers + 1).min(third)),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(header(model, paint)), head);
    match &model.mode {
        Mode::Log { run, lines, .. } => {
            let area = Rect { y: head.bottom(), height: foot.y.saturating_sub(head.bottom()), ..rest };
            log(frame, area, run, lines.iter().map(String::as_str), paint);
        }
        Mode::List | Mode::Confirm { .. } => {
            gpu_rows(frame, gpu_area, model, paint);
            worker_rows(frame, worker_area, model, paint);
            run_rows(frame, rest, model, paint);
        }
    }
    frame.render_widget(Paragraph::new(footer(model, paint)), foot);
}

/// Colour, or none of it.
#[derive(Debug, Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn of(self, colour: Color) -> Style {
        if self.colour { Style::default().fg(colour) } else { Style::default() }
    }

    /// Not by colour: it must be seen without.
    fn chosen(chosen: bool) -> Style {
        if chosen { Style::default().add_modifier(Modifier::REVERSED) } else { Style::default() }
    }

    fn title() -> Style {
        Style::default().add_modifier(Modifier::BOLD)
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 30))
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn header(model: &Model, paint: Paint) -> Vec<Line<'static>> {
    let status = &model.picture.status;
    let (word, style) = match &model.link {
        Link::Asking => ("asking clearmld …".to_owned(), Style::default()),
        Link::Up => (String::new(), Style::default()),
        Link::Lost(reason) => (
            format!("clearmld does not answer, what is below is old; asking again: {}", text::cell(reason)),
            paint.of(Color::Red),
        ),
    };
    let server = status.server.as_ref().map_or_else(String::new, |server| {
        let reason = server.reason.as_deref().map(|reason| format!(" ({})", text::short(reason, 60)));
        format!("server {}{}", words::link(server), reason.unwrap_or_default())
    });
    let tasks = if status.draining { "draining: no tasks are taken" } else { "taking tasks" };
    let first = format!("{}  {server}  {tasks}", text::cell(&status.host));
    vec![Line::raw(first), Line::raw(host(model)), Line::styled(word, style)]
}

fn host(model: &Model) -> String {
    let figures = &model.picture.figures;
    let mut parts = Vec::new();
    if let Some(cpus) = figures.cpus {
        let busy = model.cpu.map_or_else(|| NONE.to_owned(), percent);
        parts.push(format!("cpu {busy} of {cpus} cores"));
    }
    parts.extend(figures.load.map(|load| format!("load {load:.2}")));
    if let (Some(size), Some(available)) = (figures.memory_size, figures.memory_available) {
        parts.push(format!("memory {} of {} GiB", gib(size.saturating_sub(available)), gib(size)));
    }
    if let (Some(size), Some(free)) = (figures.disk_size, figures.disk_free) {
        parts.push(format!("disk {} of {} GiB free", gib(free), gib(size)));
    }
    parts.join("  ")
}

fn gpu_rows(frame: &mut Frame<'_>, area: Rect, model: &Model, paint: Paint) {
    let rows = model.picture.gpus.iter().map(|gpu| {
        let figures = gpu.figures.unwrap_or_default();
        let memory = figures.memory_used.zip(figures.memory_total);
        let state = match (&gpu.unusable, gpu.run_ids.is_empty()) {
            (Some(reason), _) => text::short(reason, 40),
            (None, false) => "held".to_owned(),
            (None, true) => "free".to_owned(),
        };
        let style = if gpu.unusable.is_some() { paint.of(Color::Red) } else { Style::default() };
        Row::new([
            gpu.index.to_string(),
            text::short(&gpu.name, 28),
            figures.usage.map_or_else(|| NONE.to_owned(), |usage| format!("{usage}%")),
            memory.map_or_else(|| NONE.to_owned(), |(used, all)| format!("{}/{} GiB", gib(used), gib(all))),
            figures.temperature.map_or_else(|| NONE.to_owned(), |celsius| format!("{celsius} °C")),
            state,
        ])
        .style(style)
    });
    let widths = [4, 28, 5, 16, 7, 40].map(Constraint::Length);
    let header = Row::new(["GPU", "NAME", "BUSY", "MEMORY", "TEMP", "STATE"]).style(Paint::title());
    frame.render_widget(Table::new(rows, widths).header(header), area);
}

fn worker_rows(frame: &mut Frame<'_>, area: Rect, model: &Model, paint: Paint) {
    if model.picture.workers.is_empty() {
        let hint = "no workers yet; declare one with `clearmlctl worker add --queue QUEUE`";
        frame.render_widget(Paragraph::new(hint), area);
        return;
    }
    let at = model.picture.workers.iter().position(|worker| model.chosen == Some(Choice::Worker(worker.name.clone())));
    let rows = visible(&model.picture.workers, at, area).iter().map(|worker| {
        let queues: Vec<&str> = worker.queues.iter().map(|queue| queue.name.as_str()).collect();
        let style = match worker.activity() {
            v1::WorkerActivity::Busy => paint.of(Color::Green),
            v1::WorkerActivity::Stopped | v1::WorkerActivity::Finishing => paint.of(Color::Yellow),
            v1::WorkerActivity::Idle | v1::WorkerActivity::Unspecified => Style::default(),
        };
        let chosen = model.chosen == Some(Choice::Worker(worker.name.clone()));
        Row::new([
            text::cell(&worker.name),
            words::activity(worker).to_owned(),
            text::cell(&worker.gpus),
            text::cell(&queues.join(",")),
            worker.problem.as_deref().map_or_else(String::new, |problem| text::short(problem, 60)),
        ])
        .style(style.patch(Paint::chosen(chosen)))
    });
    let longest = model.picture.workers.iter().map(|worker| worker.name.chars().count()).max().unwrap_or(0);
    let widths = [
        // What an operator types into the next command is not cut.
        Constraint::Length(u16::try_from(longest.clamp(6, 40)).unwrap_or(40)),
        Constraint::Length(9),
        Constraint::Max(10),
        Constraint::Max(24),
        Constraint::Fill(1),
    ];
    let header = Row::new(["WORKER", "STATE", "GPUS", "QUEUES", "PROBLEM"]).style(Paint::title());
    frame.render_widget(Table::new(rows, widths).header(header), area);
}

/// The part of the rows with the chosen one in it.
fn visible<T>(rows: &[T], chosen: Option<usize>, area: Rect) -> &[T] {
    let room = usize::from(area.height.saturating_sub(1)).max(1);
    let start = chosen.map_or(0, |at| (at + 1).saturating_sub(room)).min(rows.len());
    &rows[start..(start + room).min(rows.len())]
}

fn run_rows(frame: &mut Frame<'_>, area: Rect, model: &Model, paint: Paint) {
    let runs = model.shown_runs();
    if runs.is_empty() {
        frame.render_widget(Paragraph::new("no runs yet"), area);
        return;
    }
    let narrow = area.width < NARROW;
    let at = runs.iter().position(|run| model.chosen == Some(Choice::Run(run.id.clone())));
    let rows = visible(&runs, at, area).iter().map(|run| {
        let chosen = model.chosen == Some(Choice::Run(run.id.clone()));
        let figures = model.picture.figures.runs.iter().find(|figures| figures.run_id == run.id);
        let state = state(run);
        let failed = run.end.as_ref().is_some_and(|end| end.cause != "completed");
        let style = match (run.live, failed) {
            (true, _) => paint.of(Color::Green),
            (false, true) => paint.of(Color::Red),
            (false, false) => Style::default(),
        };
        let mut cells = vec![text::short(&run.id, 8), state, text::short(&run.task_name, 40)];
        if !narrow {
            cells.extend([
                text::cell(&run.worker),
                model.run_cpu.get(&run.id).map_or_else(|| NONE.to_owned(), |cores| format!("{cores:.1}")),
                figures
                    .and_then(|figures| figures.memory)
                    .map_or_else(|| NONE.to_owned(), |bytes| format!("{} GiB", gib(bytes))),
                took(run, model.now),
            ]);
        }
        Row::new(cells).style(style.patch(Paint::chosen(chosen)))
    });
    let mut titles = vec!["RUN", "STATE", "TASK"];
    let mut widths = vec![Constraint::Length(8), Constraint::Length(14), Constraint::Min(10)];
    if !narrow {
        titles.extend(["WORKER", "CORES", "MEMORY", "TIME"]);
        widths.extend([Constraint::Max(20), Constraint::Length(5), Constraint::Length(10), Constraint::Length(8)]);
    }
    let table = Table::new(rows, widths).header(Row::new(titles).style(Paint::title()));
    frame.render_widget(table, area);
}

/// The stage of a run that runs, the cause of one that has ended.
fn state(run: &v1::Run) -> String {
    match (&run.stop_reason, &run.end) {
        (_, Some(end)) => text::cell(&end.cause),
        (Some(_), None) => "stopping".to_owned(),
        (None, None) => words::stage(run).unwrap_or_else(|| words::phase(run)).to_owned(),
    }
}

fn took(run: &v1::Run, now: i64) -> String {
    let end = run.ended_unix_ms.unwrap_or(now);
    run.started_unix_ms.map_or_else(|| NONE.to_owned(), |started| span(end - started))
}

fn log<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    run: &str,
    lines: impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator,
    paint: Paint,
) {
    let room = usize::from(area.height.saturating_sub(1));
    let skipped = lines.len().saturating_sub(room);
    let title = Line::styled(format!("log of run {}", text::cell(run)), Paint::title().patch(paint.of(Color::Cyan)));
    // Colours of programs are taken out: a cell is no place for what a terminal obeys.
    let lines = lines.skip(skipped).map(|line| Line::raw(text::cell(&plain(line))));
    frame.render_widget(Paragraph::new([title].into_iter().chain(lines).collect::<Vec<_>>()), area);
}

/// Without the sequences that set colours, and as a terminal leaves it after carriage returns.
fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or_default();
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = after.find(|c: char| c.is_ascii_alphabetic()).map_or("", |end| &after[end + 1..]);
    }
    out.push_str(rest);
    out.replace('\t', "    ")
}

fn footer(model: &Model, paint: Paint) -> Line<'static> {
    match (&model.mode, &model.notice) {
        (Mode::Confirm { question, .. }, _) => Line::styled(
            format!("{} (y does it, any other key does not)", text::cell(question)),
            paint.of(Color::Yellow),
        ),
        (Mode::Log { ended: true, .. }, _) => Line::raw("the log has ended   Esc back"),
        (Mode::Log { .. }, _) => Line::raw("following   Esc back"),
        (Mode::List, Some(notice)) => Line::raw(text::cell(notice)),
        (Mode::List, None) => {
            let drain = if model.picture.status.draining { "resume" } else { "drain" };
            Line::raw(format!("↑↓ choose   Enter log   s stop   d {drain}   q quit"))
        }
    }
}

#[cfg(test)]
mod tests;
