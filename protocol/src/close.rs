//! Close codes of the channel: why a session ended and whether the client should come back.

use ts_rs::TS;

/// What a client should do after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TS)]
pub enum Return {
    /// Reconnect with jittered back-off, resuming.
    Resume,
    /// Get a new token, then reconnect, resuming.
    Authenticate,
    /// Stay away; tell the person why.
    Stay,
}

macro_rules! closes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal, $next:ident;)*) => {
        /// Why a session ended (RFC 6455, section 7.4; 4000 and up are ours).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum CloseCode { $($(#[$doc])* $name = $code,)* }

        impl CloseCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The reason in the close frame.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }

            /// What the client should do next.
            #[must_use]
            pub const fn next(self) -> Return {
                match self { $(Self::$name => Return::$next,)* }
            }
        }
    };
}

closes! {
    /// The client or the show is done.
    Normal = 1000, "done", Stay;
    /// Not WebSocket as RFC 6455 has it.
    Protocol = 1002, "protocol error", Stay;
    /// Not one of the two encodings, or a binary frame on the JSON sub-protocol.
    Unsupported = 1003, "wrong kind of frame for this sub-protocol", Stay;
    /// Not UTF-8, not MessagePack, not JSON, or not an array of messages.
    Malformed = 1007, "malformed frame", Stay;
    /// Frame longer than 64 KiB, more than 64 messages or more than 4,096 values.
    TooBig = 1009, "frame too big", Stay;
    /// Our bug.
    Internal = 1011, "internal error", Resume;
    /// No `Hello` within 5 s.
    HelloTimeout = 4001, "no Hello in time", Resume;
    /// The first message was not `Hello`, or a second one came.
    HelloExpected = 4002, "Hello must come first and once", Stay;
    /// The token is not valid for this show.
    Unauthenticated = 4003, "token not valid", Authenticate;
    /// The token has run out and was not refreshed.
    TokenExpired = 4004, "token expired", Authenticate;
    /// This person was sent away.
    Banned = 4005, "banned", Stay;
    /// No such show.
    ShowUnknown = 4006, "no such show", Stay;
    /// The client did not read for too long.
    Slow = 4007, "reading too slowly", Resume;
    /// More sessions than this node or this address may have.
    Overloaded = 4008, "too many sessions", Resume;
    /// This node is leaving.
    GoingAway = 4009, "node is leaving", Resume;
    /// Too many messages, in spite of refusals.
    Flooding = 4010, "too many messages", Stay;
}
