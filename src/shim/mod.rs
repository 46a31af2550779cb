//! The small root process that builds the sandbox, starts and reaps the payload, spools its output and records its end.
