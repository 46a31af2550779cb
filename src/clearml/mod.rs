//! The client of the ClearML server.
