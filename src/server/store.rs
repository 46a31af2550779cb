//! What the server remembers: JSON documents and events in SQLite, on a thread of their own.
//!
//! Documents carry, beside their JSON, the columns that lists narrow by (`project`, `status`, `name`); the rest of a
//! filter is applied to the JSON. Events have a table of their own, since a task may have hundreds of thousands.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::StartError;
use super::call::ApiError;

/// A kind of document; its name is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Task,
    Queue,
    Worker,
    Project,
    Model,
    /// Small settings of the server itself: revoked sessions, further key pairs, preferences.
    Setting,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Queue => "queue",
            Self::Worker => "worker",
            Self::Project => "project",
            Self::Model => "model",
            Self::Setting => "setting",
        }
    }
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The handle of the store's thread.
pub(super) struct Store {
    // Calls wait for their answer, so at most one job a connection is queued; the bound is for the watchdog and luck.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    closed: Mutex<Option<oneshot::Receiver<()>>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE documents (
  kind TEXT NOT NULL, id TEXT NOT NULL, project TEXT, status TEXT, name TEXT, doc TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX documents_by_project ON documents (kind, project);
CREATE INDEX documents_by_status ON documents (kind, status);
CREATE INDEX documents_by_name ON documents (kind, name);
CREATE TABLE events (
  number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, task TEXT NOT NULL, type TEXT NOT NULL,
  timestamp INTEGER NOT NULL, metric TEXT NOT NULL, variant TEXT NOT NULL, iter INTEGER NOT NULL, doc TEXT NOT NULL
);
CREATE INDEX events_in_time ON events (task, type, timestamp, number);
CREATE INDEX events_of_series ON events (task, type, metric, variant, iter);
";

// === impl Store ===

impl Store {
    /// Opens or makes the database and starts its thread.
    pub(super) fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |reason: String| StartError::Database { path: path.to_owned(), reason };
        let mut connection = prepare(path).map_err(|error| failed(error.to_string()))?;
        let version: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| failed(error.to_string()))?;
        if version != SCHEMA_VERSION {
            return Err(failed(format!("it has format {version}, this program knows {SCHEMA_VERSION}")));
        }
        let (jobs, mut queue) = mpsc::channel::<Job>(64);
        let (closing, closed) = oneshot::channel();
        thread::Builder::new()
            .name("local-server-store".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection);
                }
                drop(connection);
                let _ = closing.send(());
            })
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), closed: Mutex::new(Some(closed)) })
    }

    /// Runs `work` on the store's thread, in a transaction that an error takes back (unless the error says otherwise).
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Documents<'_>) -> Result<T, ApiError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = reply.send(transact(connection, work));
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let jobs = jobs.ok_or_else(|| ApiError::database("it is closed"))?;
        jobs.send(job).await.map_err(|_| ApiError::database("its thread ended"))?;
        answer.await.map_err(|_| ApiError::database("its thread ended"))?
    }

    /// Takes no more, and waits until what was taken is done and the database is closed.
    pub(super) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(closed) = closed {
            let _ = closed.await;
        }
    }
}

fn prepare(path: &Path) -> Result<Connection, Box<dyn std::error::Error>> {
    // It holds further key pairs; SQLite gives its journals the mode of the database.
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let mut connection = Connection::open(path)?;
    // NORMAL with WAL: a power cut may lose the last moments, never the consistency.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;")?;
    let transaction = connection.transaction()?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()?;
    Ok(connection)
}

fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Documents<'_>) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let documents = Documents { transaction: connection.transaction()? };
    // One call that trips over a document nobody foresaw must not end the thread, and with it the server.
    let result = catch_unwind(AssertUnwindSafe(|| work(&documents)))
        .unwrap_or_else(|_| Err(ApiError::new(500, 1, "Internal server error")));
    let keep = result.as_ref().map_or_else(|error| error.keeps_changes, |_| true);
    if keep {
        documents.transaction.commit()?;
    }
    result
}

/// The documents, inside one transaction.
pub(super) struct Documents<'c> {
    transaction: Transaction<'c>,
}

/// What narrows a list before its documents are read. Empty lists narrow nothing.
#[derive(Debug, Default)]
pub(super) struct Narrow {
    pub(super) ids: Vec<String>,
    pub(super) projects: Vec<String>,
    pub(super) statuses: Vec<String>,
}

// === impl Documents ===

impl Documents<'_> {
    /// One document.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Result<Option<Value>, ApiError> {
        let mut statement = self.transaction.prepare_cached("SELECT doc FROM documents WHERE kind = ? AND id = ?")?;
        let text: Option<String> = statement.query_row(params![kind.as_str(), id], |row| row.get(0)).optional()?;
        text.map(|text| parse(&text)).transpose()
    }

    /// Writes a document, new or not; its `id`, `project`, `status` and `name` are read from it.
    pub(super) fn put(&self, kind: Kind, id: &str, document: &Value) -> Result<(), ApiError> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let mut statement = self.transaction.prepare_cached(
            "INSERT OR REPLACE INTO documents (kind, id, project, status, name, doc) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        statement.execute(params![
            kind.as_str(),
            id,
            text("project"),
            text("status"),
            text("name"),
            document.to_string()
        ])?;
        Ok(())
    }

    /// Removes a document; whether there was one.
    pub(super) fn remove(&self, kind: Kind, id: &str) -> Result<bool, ApiError> {
        let count =
            self.transaction.execute("DELETE FROM documents WHERE kind = ? AND id = ?", params![kind.as_str(), id])?;
        Ok(count > 0)
    }

    /// The document of this exact name.
    pub(super) fn named(&self, kind: Kind, name: &str) -> Result<Option<Value>, ApiError> {
        let mut statement = self
            .transaction
            .prepare_cached("SELECT doc FROM documents WHERE kind = ? AND name = ? ORDER BY id LIMIT 1")?;
        let text: Option<String> = statement.query_row(params![kind.as_str(), name], |row| row.get(0)).optional()?;
        text.map(|text| parse(&text)).transpose()
    }

    /// All documents of a kind that `narrow` leaves, by id.
    pub(super) fn list(&self, kind: Kind, narrow: &Narrow) -> Result<Vec<Value>, ApiError> {
        let mut sql = String::from("SELECT doc FROM documents WHERE kind = ?");
        let mut values = vec![Sql::Text(kind.as_str().to_owned())];
        for (column, wanted) in [("id", &narrow.ids), ("project", &narrow.projects), ("status", &narrow.statuses)] {
            if wanted.is_empty() {
                continue;
            }
            // Only marks go into the text; what a client sent is always bound.
            let marks = vec!["?"; wanted.len()].join(",");
            sql.push_str(&format!(" AND {column} IN ({marks})"));
            values.extend(wanted.iter().cloned().map(Sql::Text));
        }
        sql.push_str(" ORDER BY id");
        let mut statement = self.transaction.prepare(&sql)?;
        let rows = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(0))?;
        rows.map(|row| parse(&row?)).collect()
    }

    /// The transaction, for the events.
    pub(super) fn sql(&self) -> &Transaction<'_> {
        &self.transaction
    }
}

/// Reads what this store wrote.
pub(super) fn parse(text: &str) -> Result<Value, ApiError> {
    serde_json::from_str(text).map_err(|error| ApiError::database(&error.to_string()))
}
