use super::*;

fn queue(name: &str) -> QueueRef {
    QueueRef { id: QueueId::new(name).expect("an id"), name: name.into() }
}

fn view(name: &str, head: Option<&str>, tags: &[&str]) -> QueueView {
    QueueView {
        id: QueueId::new(name).expect("an id"),
        name: name.into(),
        tags: tags.iter().map(ToString::to_string).collect(),
        head: head.map(|id| TaskId::new(id).expect("an id")),
    }
}

fn idle(worker: &str, queues: &[&str], cursor: usize) -> Idle {
    Idle {
        worker: WorkerName::new(worker).expect("a name"),
        queues: queues.iter().map(|name| queue(name)).collect(),
        cursor,
        standing: Standing::PLAIN,
        gates: Vec::new(),
    }
}

fn taken(pops: &[Pop]) -> Vec<(&str, &str)> {
    pops.iter().map(|pop| (pop.worker.as_str(), pop.head.as_str())).collect()
}

#[test]
fn the_first_queue_with_an_entry_is_served_first() {
    let views = [view("low", Some("l"), &[]), view("high", Some("h"), &[])];
    assert_eq!(taken(&plan(&[idle("w", &["high", "low"], 0)], &views)), [("w", "h")]);
    let views = [view("low", Some("l"), &[]), view("high", None, &[])];
    assert_eq!(taken(&plan(&[idle("w", &["high", "low"], 0)], &views)), [("w", "l")]);
}

#[test]
fn with_order_fairness_the_round_goes_on_where_it_was() {
    let views = [view("a", Some("1"), &[]), view("b", Some("2"), &[])];
    assert_eq!(taken(&plan(&[idle("w", &["a", "b"], 1)], &views)), [("w", "2")]);
    let views = [view("a", Some("1"), &[]), view("b", None, &[])];
    assert_eq!(taken(&plan(&[idle("w", &["a", "b"], 1)], &views)), [("w", "1")]);
}

#[test]
fn a_task_that_waits_for_gpus_holds_up_lower_queues_but_an_empty_queue_and_an_impossible_task_do_not() {
    let gated = |gates: &[Gate], cursor| Idle { gates: gates.to_vec(), ..idle("w", &["big", "small"], cursor) };
    let both = [view("big", Some("b"), &[]), view("small", Some("s"), &[])];
    assert!(plan(&[gated(&[Gate::Wait, Gate::Open], 0)], &both).is_empty());
    assert_eq!(taken(&plan(&[gated(&[Gate::Shut, Gate::Open], 0)], &both)), [("w", "s")]);
    let small = [view("big", None, &[]), view("small", Some("s"), &[])];
    assert_eq!(taken(&plan(&[gated(&[Gate::Wait, Gate::Open], 0)], &small)), [("w", "s")]);
    // In turn: what is before it in the round goes first, then it is waited for.
    assert_eq!(taken(&plan(&[gated(&[Gate::Wait, Gate::Open], 1)], &both)), [("w", "s")]);
    let off = [view("big", Some("b"), &["force_workers:off"]), view("small", Some("s"), &[])];
    assert_eq!(taken(&plan(&[gated(&[Gate::Wait, Gate::Open], 0)], &off)), [("w", "s")]);
}

#[test]
fn two_workers_never_pop_the_same_entry_and_the_second_looks_further() {
    let views = [view("a", Some("1"), &[]), view("b", Some("2"), &[])];
    let pops = plan(&[idle("x", &["a"], 0), idle("y", &["a", "b"], 0), idle("z", &["a"], 0)], &views);
    assert_eq!(taken(&pops), [("x", "1"), ("y", "2")]);
}

#[test]
fn a_queue_that_is_forced_off_gives_nothing() {
    let views = [view("a", Some("1"), &["force_workers:off", "force_workers:on"])];
    assert!(plan(&[idle("w", &["a"], 0)], &views).is_empty());
}

#[test]
fn a_worker_whose_queues_are_unknown_to_the_server_waits() {
    assert!(plan(&[idle("w", &["gone"], 0), idle("v", &[], 0)], &[]).is_empty());
}

fn until() -> Outside {
    Outside { until: crate::domain::hours::LocalHour { day: crate::domain::hours::Weekday::Monday, hour: 8 } }
}

/// clearml-agent.md, 2.3 b: queue tag off, queue tag on, property, hours, go.
#[test]
fn who_decides_whether_a_worker_takes_tasks_is_in_the_order_of_clearml_agent() {
    use Property::{Is, Unknown};
    let (on, off, both) = (["force_workers:on"], ["force_workers:off"], ["force_workers:off", "force_workers:on"]);
    let (open, shut) = (Ok(()), Err(until()));
    let (no, outside) = (Paused::WorkerOff, Paused::Outside(until()));
    type Case<'a> = (&'a [&'a str], Property, Result<(), Outside>, Option<Result<(), Paused>>);
    let cases: [Case<'_>; 12] = [
        (&off, Is(Some(Force::On)), open, Some(Err(Paused::QueueOff))),
        (&both, Is(None), open, Some(Err(Paused::QueueOff))),
        (&on, Is(Some(Force::Off)), shut, Some(Ok(()))),
        (&on, Unknown, shut, Some(Ok(()))),
        (&off, Unknown, open, Some(Err(Paused::QueueOff))),
        (&[], Unknown, open, None),
        (&[], Is(Some(Force::Off)), open, Some(Err(no))),
        (&[], Is(Some(Force::On)), shut, Some(Ok(()))),
        (&[], Is(None), shut, Some(Err(outside))),
        (&[], Is(None), open, Some(Ok(()))),
        (&["force_workers:ON", "gpu"], Is(None), open, Some(Ok(()))),
        (&["force_workers"], Is(None), shut, Some(Err(outside))),
    ];
    for (tags, property, hours, wanted) in cases {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        assert_eq!(Standing { property, hours }.takes(&tags), wanted, "{tags:?} {property:?} {hours:?}");
    }
    assert_eq!([" On", "OFF", "auto", ""].map(Force::parse), [Some(Force::On), Some(Force::Off), None, None]);
}

#[test]
fn a_worker_outside_its_hours_leaves_the_task_to_another_and_takes_that_of_a_queue_that_is_forced_on() {
    let outside = |queues: &[&str]| Idle {
        standing: Standing { property: Property::Is(None), hours: Err(until()) },
        ..idle("outside", queues, 0)
    };
    let views = [view("a", Some("1"), &[]), view("b", Some("2"), &["force_workers:on"])];
    let pops = plan(&[outside(&["a"]), idle("inside", &["a"], 0)], &views);
    assert_eq!(taken(&pops), [("inside", "1")]);
    assert_eq!(taken(&plan(&[outside(&["a", "b"])], &views)), [("outside", "2")]);
}

#[test]
fn a_property_is_asked_for_only_where_a_task_waits_for_it() {
    let unknown = |worker: &str, queues: &[&str]| Idle {
        standing: Standing { property: Property::Unknown, hours: Ok(()) },
        ..idle(worker, queues, 0)
    };
    let views = [
        view("empty", None, &[]),
        view("on", Some("1"), &["force_workers:on"]),
        view("off", Some("2"), &["force_workers:off"]),
        view("plain", Some("3"), &[]),
    ];
    let all = [
        unknown("a", &["empty", "on", "off"]),
        unknown("b", &["empty", "plain"]),
        idle("c", &["plain"], 0),
        unknown("d", &["gone"]),
    ];
    let asked: Vec<String> = undecided(&all, &views).iter().map(ToString::to_string).collect();
    assert_eq!(asked, ["b"]);
    let pops = plan(&all, &views);
    assert_eq!(taken(&pops), [("a", "1"), ("c", "3")], "nobody waits for another's answer");
    assert_eq!(taken(&plan(&[unknown("e", &["plain", "on"])], &views)), [], "a later queue does not go first");
}
