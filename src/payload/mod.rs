//! What runs inside the sandbox as the payload's user: source, environment, program.
