//! From a Task's script, as the server has it, to what a Run fetches, installs and runs.
