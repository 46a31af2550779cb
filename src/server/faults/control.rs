//! The door for orders of faults: HTTP on a unix socket, which file permissions guard. A port on the loopback device would
//! be open to every user, every task with a network and every page in a browser of this host.
//!
//! `GET /faults` lists what is to come, `POST /faults` adds an order, `DELETE /faults` forgets all of them; each answers
//! what is to come then.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing;
use serde_json::json;
use tokio::net::UnixListener;

use super::Order;
use crate::server::Shared;
use crate::server::http::plain;

/// An order is a line.
const LONGEST_ORDER: usize = 64 << 10;

/// Serves until it is dropped.
pub(in crate::server) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let faults = routing::get(list).post(order).delete(clear).fallback(lost);
    let router = Router::new()
        .route("/faults", faults)
        .fallback(lost)
        .layer(DefaultBodyLimit::max(LONGEST_ORDER))
        .with_state(shared);
    // It waits and tries again where a connection cannot be accepted, and returns never.
    let _ = axum::serve(listener, router).await;
}

async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let faults: Vec<_> = shared.faults.list().iter().map(Order::shown).collect();
    json_of(StatusCode::OK, &json!({"faults": faults}))
}

async fn order(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match Order::read(&body) {
        Ok(order) => {
            tracing::info!(order = %order.shown(), "the embedded server was ordered to fail");
            shared.obey(order);
            list(State(shared)).await
        }
        Err(error) => json_of(StatusCode::BAD_REQUEST, &json!({"error": error.to_string()})),
    }
}

async fn clear(State(shared): State<Arc<Shared>>) -> Response {
    tracing::info!("the embedded server is not to fail any more");
    shared.faults.clear();
    list(State(shared)).await
}

async fn lost() -> Response {
    let error = "there is /faults only: GET lists what is to come, POST adds an order, DELETE forgets all of them";
    json_of(StatusCode::NOT_FOUND, &json!({"error": error}))
}

fn json_of(status: StatusCode, value: &serde_json::Value) -> Response {
    plain(status, "application/json", format!("{value}\n"))
}
