//! Every place, one after the other.

use std::collections::BTreeSet;

use tokio::task::{JoinError, JoinSet};

use crate::life::Life;
use crate::places::{BESIDE, CLAIM, END, INSIDE, LAST, RENAMES, RUN, SPAWNED, around};

async fn killed_at(place: &str, alone: bool) {
    let mut life = Life::new().await;
    life.die_at(place).await;
    if alone {
        life.ends_alone().await;
    }
    life.restart().await;
    life.is_whole(place).await;
}

/// Tries them one after the other, and tells of all that went wrong.
async fn all_of(places: impl IntoIterator<Item = String>, alone: bool) {
    let mut violations = Vec::new();
    for place in places {
        let mut life = JoinSet::new();
        life.spawn(async move { killed_at(&place, alone).await });
        if let Some(Err(error)) = life.join_next().await {
            violations.push(said(error));
        }
    }
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_queue_and_launch_it_runs_once() {
    all_of(around(&CLAIM), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_program_runs_the_program_notices_nothing() {
    all_of(around(&RUN).into_iter().chain([SPAWNED.to_owned()]), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_no_daemon_lives_is_told_by_the_next() {
    let after = |place: &String| place.starts_with("after:");
    all_of(around(&RUN).into_iter().filter(after).chain([SPAWNED.to_owned()]), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_end_it_is_told_once_and_nothing_is_left() {
    all_of(around(&END).into_iter().chain(around(&LAST)), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_a_temporary_file_and_its_name_the_old_state_counts() {
    all_of((1..=RENAMES).map(|rename| format!("before:rename#{rename}")), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn these_are_all_places_of_a_life() {
    let mut life = Life::new().await;
    let trace = life.world.path().join("trace");
    life.world.spawn_daemon(&[("CLEARMLD_FAILPOINT_TRACE", trace.display().to_string())]);
    life.is_whole("a life without a death").await;
    let passed = std::fs::read_to_string(&trace).expect("a trace");
    let passed: BTreeSet<&str> = passed.lines().collect();
    let acts: Vec<&str> = [&CLAIM[..], &RUN, &END, &LAST].concat();
    let named = |act: &str| act.split('#').next().unwrap_or_default().to_owned();
    let known: BTreeSet<String> = around(&acts).iter().map(|place| named(place)).collect();
    let missing: Vec<&String> = known.iter().filter(|place| !passed.contains(place.as_str())).collect();
    assert!(missing.is_empty(), "no longer passed: {missing:?}");
    let beside: BTreeSet<String> = around(&BESIDE).into_iter().chain(INSIDE.map(str::to_owned)).collect();
    let new: Vec<&&str> = passed.iter().filter(|place| !known.contains(**place) && !beside.contains(**place)).collect();
    assert!(new.is_empty(), "never killed at: {new:?}");
}

fn said(error: JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
