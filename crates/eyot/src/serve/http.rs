//! The AWS API's listener and its runtime: the only async part of the server.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_api::Api;
use pki::Authority;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::{Context as _, Outcome};
use crate::ready::Ready;

use super::own_endpoints;

/// Threads of the runtime: requests wait for the disk more than they compute, and keys are made off these threads.
const WORKER_THREADS: usize = 2;

/// A running listener.
pub(super) struct Http {
    runtime: Runtime,
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Http {
    /// Serves the API on a listener, to so many connections at a time.
    pub(super) fn start(
        listener: TcpListener,
        connections_max: usize,
        api_parts: aws_api::Parts,
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
        let router = Api::new(api_parts).router(own_endpoints::router(ready, authority));
        let (end, ended) = oneshot::channel();
        let serving = runtime.spawn(aws_api::serve(listener, connections_max, router, async {
            // A sender that was dropped is an end as well.
            let _ = ended.await;
        }));
        Ok(Self { runtime, end, serving })
    }

    /// No new requests; those that run are answered, for at most this long.
    pub(super) fn drain(self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        // The task may have ended by itself.
        let _ = self.end.send(());
        let ended = self.runtime.block_on(async { tokio::time::timeout(timeout, self.serving).await });
        if ended.is_err() {
            tracing::warn!(target: "eyot", "some requests were not answered in time");
        }
        self.runtime.shutdown_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}
