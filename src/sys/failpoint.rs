//! Places where a test lets the daemon die, or its disk fail. Builds without debug assertions, as all that are released,
//! have none of this: there, what is here is empty.
//!
//! `CLEARMLD_FAILPOINT` names the place of a kill -9: `after:pop`, `after:send_log#3` for the third time, or `any#120` for
//! the 120th place of whatever name. `CLEARMLD_FAILPOINT_TRACE` is a file that gets a line for each place that is passed.
//! `CLEARMLD_FAILPOINT_EIO=ledger/#3` lets three accesses to paths with `ledger/` in them fail.

#[cfg(debug_assertions)]
pub use armed::{fails, pass, wanted};

/// Passes a place: the program dies here if it is the one that was named.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn pass(_place: &str) {}

/// Whether the disk is to fail here.
///
/// # Errors
/// Never, in this build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn fails(_path: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
mod armed {
    use std::fs::File;
    use std::io::{self, Write};
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, kill_process};

    /// A place or path, and the times that are left.
    #[derive(Debug)]
    struct Order {
        what: String,
        left: AtomicU32,
    }

    #[derive(Debug, Default)]
    struct Orders {
        death: Option<Order>,
        trace: Option<File>,
        broken: Option<Order>,
    }

    fn orders() -> &'static Orders {
        static ORDERS: OnceLock<Orders> = OnceLock::new();
        ORDERS.get_or_init(|| Orders {
            death: std::env::var("CLEARMLD_FAILPOINT").ok().map(|text| Order::parse(&text)),
            trace: std::env::var_os("CLEARMLD_FAILPOINT_TRACE")
                .and_then(|path| File::options().create(true).append(true).open(path).ok()),
            broken: std::env::var("CLEARMLD_FAILPOINT_EIO").ok().map(|text| Order::parse(&text)),
        })
    }

    impl Order {
        fn parse(text: &str) -> Self {
            let (what, times) = text.rsplit_once('#').unwrap_or((text, "1"));
            Self { what: what.to_owned(), left: AtomicU32::new(times.parse().unwrap_or(1)) }
        }

        /// Counts one; how many were left.
        fn count(&self) -> u32 {
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).unwrap_or(0)
        }
    }

    /// Whether anything was ordered.
    #[must_use]
    pub fn wanted() -> bool {
        orders().death.is_some() || orders().trace.is_some()
    }

    /// Passes a place: the program dies here if it is the one that was named.
    pub fn pass(place: &str) {
        if let Some(mut trace) = orders().trace.as_ref() {
            // One write a line: threads do not mix.
            let _ = trace.write_all(format!("{place}\n").as_bytes());
        }
        let due = |order: &&Order| order.what == "any" || order.what == place;
        if orders().death.as_ref().filter(due).is_some_and(|order| order.count() == 1) {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    /// Whether the disk is to fail here.
    ///
    /// # Errors
    /// As it was ordered.
    pub fn fails(path: &Path) -> io::Result<()> {
        let due = |order: &&Order| path.to_string_lossy().contains(&order.what);
        match orders().broken.as_ref().filter(due) {
            Some(order) if order.count() > 0 => Err(Errno::IO.into()),
            Some(_) | None => Ok(()),
        }
    }
}
