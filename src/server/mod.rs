//! The embedded local ClearML server.
