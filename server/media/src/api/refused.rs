//! Why the engine says no. The server maps these to HTTP; the texts are meant for people.

/// A request that was not granted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 400: the offer is not SDP that can be read.
    #[error("the SDP offer cannot be read: {0}")]
    MalformedOffer(String),
    /// 400: the trickle-ICE fragment cannot be read.
    #[error("the trickle-ICE fragment cannot be read: {0}")]
    MalformedFragment(String),
    /// 422: the offer is readable but asks for what is not done here.
    #[error("the SDP offer is not supported: {0}")]
    UnsupportedOffer(String),
    /// 422: the PATCH asks for what this session cannot do.
    #[error("the PATCH is not supported: {0}")]
    UnsupportedPatch(String),
    /// 409 with Retry-After: nobody publishes this broadcast now.
    #[error("the broadcast is not live: try again once its publisher is there")]
    NotLive,
    /// 503 with Retry-After: as many sessions or requests as this server takes.
    #[error("the media server is full: try again later")]
    Overloaded,
    /// 503: the engine is shutting down.
    #[error("the media server is stopping")]
    Stopped,
    /// 404: no such session, or it ended.
    #[error("there is no such session")]
    UnknownSession,
    /// 412: `If-Match` names an ICE session that is not the current one.
    #[error("If-Match names an older ICE session: use the ETag of the latest answer")]
    StaleTag,
    /// 428: a PATCH needs `If-Match`.
    #[error("a PATCH needs If-Match with the session's ETag, or * to restart ICE")]
    PreconditionRequired,
}

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The UDP socket could not be opened or bound.
    #[error("cannot listen for media on UDP {address}: {source}")]
    Bind {
        /// What was asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread or its wake-up could not be created.
    #[error("cannot start the media thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The certificate for DTLS could not be made.
    #[error("cannot make a DTLS certificate: {0}")]
    Certificate(String),
}
