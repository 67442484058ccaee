//! An HTTP server whose clients can't hold a connection with half a request: the time and the size of a request's head are
//! limited. The time of its body is a matter of the routes.

use std::{future::Future, pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{net::TcpListener, time::sleep};
use tracing::{debug, warn};

/// Largest head of a request, in bytes: request line and headers. A larger one is answered with 431.
pub const MAX_HEAD: usize = 32 << 10;

/// Most headers of a request.
const MAX_HEADERS: usize = 64;

/// How long to wait after a failed accept, which is mostly for want of file descriptors.
const ACCEPT_WAIT: Duration = Duration::from_secs(1);

/// Serves the routes until `stop` ends, then finishes the requests in flight. A connection is closed when the head of its
/// next request is not complete `head_timeout` after it was opened, or after the answer before; and when its client takes
/// nothing of an answer for that long.
pub async fn serve(listener: TcpListener, routes: Router, head_timeout: Duration, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "can't accept a connection");
                sleep(ACCEPT_WAIT).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let patience = u32::try_from(head_timeout.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = set_tcp_user_timeout(&stream, patience) {
            warn!(%error, "a client that takes no answer is not noticed");
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection was closed");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}
