//! The server, which may go away and come back.

use std::time::{Duration, Instant};

use clearmld::server::{Faults, LocalServer};

use super::World;

impl World {
    pub(crate) fn faults(&self) -> &Faults {
        self.server.as_ref().expect("a server").faults()
    }

    pub(crate) fn local(&self) -> &LocalServer {
        self.server.as_ref().expect("a server")
    }

    /// The daemon's next start knows of no server.
    pub(crate) fn unconfigured(&mut self) {
        self.server_environment.clear();
    }

    pub(crate) async fn stop_server(&mut self) {
        self.server.take().expect("a server").stop().await;
    }

    /// At the same addresses, with what it knew.
    pub(crate) async fn start_server(&mut self) {
        let began = Instant::now();
        loop {
            match clearmld::server::start(self.server_config.clone()).await {
                Ok(server) => {
                    self.server = Some(server);
                    return;
                }
                // Another test's client may have been given the port meanwhile.
                Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
