//! Listens and serves: timeouts for slow clients, HTTPS, and a graceful end. It refuses to know
//! what is served.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use super::prompt::PromptAcceptor;
use crate::config::Tls;

/// A request's head must be complete this long after the connection or the request before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that speaks HTTP/2 is asked for a sign of life after this, and has as long to give it.
const HTTP2_PING: Duration = Duration::from_secs(20);
/// A TLS handshake must be done in this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams of one HTTP/2 connection: a browser uses a handful.
const STREAMS_MAX: u32 = 100;

/// Serves until `shutdown`, then lets open requests finish within `grace`.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    shutdown: CancellationToken,
    grace: Duration,
) -> std::io::Result<()> {
    let handle = Handle::<SocketAddr>::new();
    let ending = handle.clone();
    let stop = tokio::spawn(async move {
        shutdown.cancelled().await;
        ending.graceful_shutdown(Some(grace));
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    let mut builder = server.http_builder().http1();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    server
        .http_builder()
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .max_concurrent_streams(STREAMS_MAX);
    let served = match tls {
        Some(tls) => {
            let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(tls))
                .handshake_timeout(HANDSHAKE_TIMEOUT)
                .acceptor(NoDelayAcceptor::new());
            server
                .acceptor(PromptAcceptor {
                    inner: acceptor,
                    within: HEAD_TIMEOUT,
                })
                .serve(service)
                .await
        }
        None => {
            let acceptor = PromptAcceptor {
                inner: NoDelayAcceptor::new(),
                within: HEAD_TIMEOUT,
            };
            server.acceptor(acceptor).serve(service).await
        }
    };
    stop.abort();
    served
}

/// Reads certificate and key, so that a wrong pair is noticed before any port is bound.
///
/// # Errors
/// What is wrong with which.
pub fn tls_config(tls: &Tls) -> Result<Arc<rustls::ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(tls.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate cannot be read: {error:?}"))?;
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.expose().as_bytes())
        .map_err(|_| "the key cannot be read: one unencrypted PEM private key".to_owned())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key do not fit together: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
