//! clearml.conf, the environment and flags, read and checked whole.
