//! What speaks HTTP, and its runtime: the only async part of the server.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_api::{Api, HTTPS_CONNECTIONS_MAX, WebSockets, WebSocketsEnd, serve, serve_devices};
use broker::Broker;
use pki::Authority;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::failure::{Context as _, Outcome};
use crate::ready::Ready;

use super::own_endpoints;

/// Threads of the runtime: requests wait for the disk more than they compute, and keys are made off these threads.
const WORKER_THREADS: usize = 2;

/// How long WebSockets have to say good-bye when the broker has let them go.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// The API and the ports for devices, served.
pub(super) struct Http {
    runtime: Runtime,
    end: watch::Sender<()>,
    serving: [JoinHandle<()>; 2],
    websockets: WebSocketsEnd,
}

impl Http {
    /// Serves the API on a listener, to so many connections at a time, and the broker's visitors.
    pub(super) fn start(
        listener: TcpListener,
        connections_max: usize,
        api_parts: aws_api::Parts,
        broker: Arc<Broker>,
        authority: &Arc<Authority>,
        ready: &Ready,
    ) -> Outcome<Self> {
        let failed = || "the API cannot start".to_owned();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .thread_name("http")
            .enable_all()
            .build()
            .context(failed)?;
        listener.set_nonblocking(true).context(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).context(failed)?
        };
        let api = Api::new(api_parts);
        let (end, ended) = watch::channel(());
        let ended = || {
            let mut ended = ended.clone();
            // A sender that was dropped is an end as well.
            async move { drop(ended.changed().await) }
        };
        let (alive, websockets) = WebSockets::new();
        let router = api.router(own_endpoints::router(ready, authority));
        let serving = [
            runtime.spawn(serve(listener, connections_max, router, alive.clone(), ended())),
            runtime.spawn(serve_devices(broker, HTTPS_CONNECTIONS_MAX, api.device_router(), alive, ended())),
        ];
        Ok(Self { runtime, end, serving, websockets })
    }

    /// No new requests; those that run are answered, for at most this long. WebSockets stay until the broker lets them go.
    pub(super) fn drain(self, timeout: Duration) -> Farewells {
        // The tasks may have ended by themselves.
        let _ = self.end.send(());
        let ended = self.runtime.block_on(async {
            tokio::time::timeout(timeout, async {
                for serving in self.serving {
                    // One that panicked has ended, too.
                    let _ = serving.await;
                }
            })
            .await
        });
        if ended.is_err() {
            tracing::warn!(target: "eyot", "some requests were not answered in time");
        }
        Farewells { runtime: self.runtime, websockets: self.websockets }
    }
}

/// WebSockets that the broker is about to let go.
pub(super) struct Farewells {
    runtime: Runtime,
    websockets: WebSocketsEnd,
}

impl Farewells {
    /// Waits until all have said good-bye, and ends the runtime.
    pub(super) fn finish(self) {
        let deadline = Instant::now() + FAREWELL_TIMEOUT;
        let ended = self
            .runtime
            .block_on(async { tokio::time::timeout(FAREWELL_TIMEOUT, self.websockets.wait()).await });
        if ended.is_err() {
            tracing::warn!(target: "eyot", "some WebSockets did not end in time");
        }
        self.runtime.shutdown_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}
