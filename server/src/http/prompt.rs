//! A connection must say what it speaks within a time. hyper bounds how long a request's head may
//! take, but only once it knows that it reads HTTP/1: until then a client that says nothing, or the
//! first half of HTTP/2's preface, would be waited for for ever.
//!
//! It refuses to know what follows.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures_util::TryFutureExt as _;
use futures_util::future::MapOk;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The first bytes of HTTP/2 (RFC 9113, section 3.4); whatever differs is HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts what another acceptor does, and bounds the time until the first words.
#[derive(Debug, Clone)]
pub(super) struct PromptAcceptor<A> {
    pub(super) inner: A,
    pub(super) within: Duration,
}

/// A connection that must be prompt.
#[derive(Debug)]
pub(super) struct Prompt<S> {
    stream: S,
    /// Until it is known what the client speaks.
    undecided: Option<Undecided>,
}

#[derive(Debug)]
struct Undecided {
    /// Bytes of the preface that came.
    matched: usize,
    until: Pin<Box<Sleep>>,
}

impl<S> Prompt<S> {
    fn new(stream: S, within: Duration) -> Self {
        let undecided = Undecided {
            matched: 0,
            until: Box::pin(sleep(within)),
        };
        Self {
            stream,
            undecided: Some(undecided),
        }
    }
}

impl<A, I, S> Accept<I, S> for PromptAcceptor<A>
where
    A: Accept<I, S>,
    A::Stream: 'static,
    A::Service: 'static,
{
    type Stream = Prompt<A::Stream>;
    type Service = A::Service;
    type Future = MapOk<
        A::Future,
        Box<dyn FnOnce((A::Stream, A::Service)) -> (Prompt<A::Stream>, A::Service) + Send>,
    >;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let within = self.within;
        self.inner
            .accept(stream, service)
            .map_ok(Box::new(move |(stream, service)| {
                (Prompt::new(stream, within), service)
            }))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some(undecided) = &mut self.undecided else {
            return read;
        };
        if read.is_pending() {
            return match undecided.until.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            };
        }
        let came = &buffer.filled()[before..];
        let missing = &PREFACE[undecided.matched..];
        if came.len() < missing.len() && missing.starts_with(came) {
            undecided.matched += came.len();
        } else {
            self.undecided = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    async fn error_after(said: &[u8]) -> Option<io::ErrorKind> {
        let (mut client, server) = duplex(64);
        client.write_all(said).await.expect("said");
        let mut server = Prompt::new(server, SOON);
        let reading = async {
            let mut bytes = [0; 64];
            loop {
                if let Err(error) = server.read(&mut bytes).await {
                    return error.kind();
                }
            }
        };
        // Who may go on would be waited for.
        tokio::time::timeout(SOON * 20, reading).await.ok()
    }

    #[tokio::test]
    async fn who_does_not_say_what_it_speaks_is_not_waited_for() {
        for said in [&b""[..], b"P", b"PRI * HT"] {
            assert_eq!(error_after(said).await, Some(io::ErrorKind::TimedOut));
        }
        for said in [&b"GET"[..], b"PO", b"PRI * HTTP/1", PREFACE] {
            assert_eq!(error_after(said).await, None);
        }
    }
}
