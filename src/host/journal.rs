//! Where the daemon's own log goes: to the journal with structured fields when the journal is what reads our stderr,
//! to stderr otherwise.

use std::os::unix::fs::MetadataExt;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Begins to log. `RUST_LOG` chooses what; `info` without it. A second call does nothing.
pub fn begin() {
    let filter = || EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,hyper=warn,h2=warn"));
    let journal = if stderr_is_the_journal() { tracing_journald::layer().ok() } else { None };
    let registry = tracing_subscriber::registry();
    let begun = match journal {
        // Without a prefix the fields are CLEARML_TASK_ID and so on, as documented.
        Some(layer) => registry.with(layer.with_field_prefix(None).with_filter(filter())).try_init(),
        None => {
            let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
            let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let tty = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(layer.with_ansi(colour && tty).with_filter(filter())).try_init()
        }
    };
    if let Err(error) = begun {
        tracing::debug!(%error, "logging had begun already");
    }
}

/// `JOURNAL_STREAM` is `device:inode` of the socket that systemd gave us as stderr (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino())
}
