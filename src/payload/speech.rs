//! What the stages say into the task's log.

use std::io::{self, Write};

/// A line under our name. Control characters (the text may quote a task) are made visible.
pub(super) fn say(text: &str) {
    let mut line = String::from("[clearmld] ");
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    line.push('\n');
    let mut out = io::stdout().lock();
    // Nobody is left to tell when the log is gone.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}
