//! One WebSocket's bytes. Reading is tungstenite's (RFC 6455: masks, fragments, control frames,
//! UTF-8); writing is ours, because all viewers of a room are sent the same frame: it is framed
//! once and shared, so a viewer costs neither a copy nor a buffer of its own.
//!
//! It refuses to know what the frames mean, and to queue for a reader that does not read: who
//! writes asks [`Socket::is_drained`] first.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as FrameCode;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};
use vetrina_protocol::FRAME_BYTES_MAX;
use vetrina_protocol::close::CloseCode;
use vetrina_protocol::encoding::Encoding;

/// First read buffer of a socket. It grows to the frame at hand and no further.
const READ_BUFFER_BYTES: usize = 512;
/// Slices given to one vectored write; more gain nothing against the cost of the call.
const SLICES_MAX: usize = 16;

/// A WebSocket, server side, after the handshake.
#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    reader: WebSocketContext,
    /// What the reader wants to say by itself: pongs and the answer to a close.
    control: Vec<u8>,
    /// Whole frames; of the first, `written` bytes are gone already.
    queue: VecDeque<Bytes>,
    written: usize,
    /// Bytes ever taken by the kernel: whether a reader makes progress.
    progress: u64,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A whole message; `text` tells its kind.
    Message { text: bool, payload: Bytes },
    /// A sign of life without content.
    Alive,
    /// The peer closed, properly or not. Nothing can be said to it any more.
    Gone,
    /// The peer broke a rule: close with this code.
    Fault(CloseCode),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Takes over a stream after the handshake's answer was sent.
    pub(super) fn new(stream: S) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(READ_BUFFER_BYTES)
            .max_frame_size(Some(FRAME_BYTES_MAX))
            .max_message_size(Some(FRAME_BYTES_MAX));
        Self {
            stream,
            reader: WebSocketContext::new(Role::Server, Some(config)),
            control: Vec::new(),
            queue: VecDeque::new(),
            written: 0,
            progress: 0,
        }
    }

    /// Puts a frame made by [`frame`] behind those that wait.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.queue.push_back(frame);
    }

    /// Asks the peer for a sign of life.
    pub(super) fn push_ping(&mut self) {
        self.queue.push_back(Bytes::from_static(&[0x89, 0]));
    }

    /// Nothing waits to be written: now is the time to give more.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.control.is_empty()
    }

    /// Frames that wait to be written.
    pub(super) fn backlog(&self) -> usize {
        self.queue.len()
    }

    /// Grows whenever the kernel took bytes.
    pub(super) const fn progress(&self) -> u64 {
        self.progress
    }

    /// Drives the socket: writes what waits, and reads unless `reading` is off. Ready when
    /// something came in, or when writing has just finished (`None`).
    pub(super) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        reading: bool,
    ) -> Poll<Option<Incoming>> {
        if reading && let Poll::Ready(incoming) = self.poll_incoming(cx) {
            return Poll::Ready(Some(incoming));
        }
        if self.is_drained() {
            return Poll::Pending;
        }
        match self.poll_write_all(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(None),
            Poll::Ready(Err(_)) => Poll::Ready(Some(Incoming::Gone)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Says goodbye: the close frame behind what is half written, then waits for the peer's answer
    /// or its end. The caller bounds the time.
    pub(super) async fn close(&mut self, code: CloseCode, after_fault: bool) {
        self.queue_close(code);
        if std::future::poll_fn(|cx| self.poll_write_all(cx))
            .await
            .is_err()
        {
            return;
        }
        if after_fault {
            // What follows a fault has no meaning as frames; read it away, so that the kernel does
            // not answer unread bytes with a reset that overtakes the close frame.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await;
            while let Ok(true) = std::future::poll_fn(|cx| self.poll_discard(cx)).await {}
            return;
        }
        loop {
            match std::future::poll_fn(|cx| self.poll_turn(cx, true)).await {
                Some(Incoming::Gone | Incoming::Fault(_)) => break,
                Some(Incoming::Message { .. } | Incoming::Alive) | None => {}
            }
        }
        let _ = std::future::poll_fn(|cx| self.poll_write_all(cx)).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await;
    }

    fn queue_close(&mut self, code: CloseCode) {
        // Whole frames that wait are dropped: the client resumes from what it has.
        self.queue.truncate(usize::from(self.written > 0));
        let frame = CloseFrame {
            code: FrameCode::from(code as u16),
            reason: code.reason().into(),
        };
        let mut bridge = Bridge {
            stream: None::<(Pin<&mut S>, &mut Context<'_>)>,
            control: &mut self.control,
        };
        // Its only failures are those of the writer, and ours takes everything; when the peer was
        // first to close, its answer is in `control` already.
        let _ = self.reader.close(&mut bridge, Some(frame));
    }

    /// The peer has closed: sends what it is owed for that.
    pub(super) async fn finish(&mut self) {
        self.queue.truncate(usize::from(self.written > 0));
        if std::future::poll_fn(|cx| self.poll_write_all(cx))
            .await
            .is_ok()
        {
            // There is nobody left to be told of a failure.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await;
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        let mut bridge = Bridge {
            stream: Some((Pin::new(&mut self.stream), cx)),
            control: &mut self.control,
        };
        match self.reader.read(&mut bridge) {
            Ok(Message::Text(text)) => Poll::Ready(Incoming::Message {
                text: true,
                payload: text.into(),
            }),
            Ok(Message::Binary(payload)) => Poll::Ready(Incoming::Message {
                text: false,
                payload,
            }),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                Poll::Ready(Incoming::Alive)
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(fault(&error)),
        }
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.control.is_empty() {
                let control = Bytes::from(std::mem::take(&mut self.control));
                self.queue.insert(usize::from(self.written > 0), control);
            }
            if self.queue.is_empty() {
                // Give back what a burst needed: most viewers only listen.
                self.queue.shrink_to(4);
                return Pin::new(&mut self.stream).poll_flush(cx);
            }
            match self.poll_write_some(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(bytes)) => self.advance(bytes),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let first = &self.queue[0][self.written..];
        if self.queue.len() == 1 {
            return stream.poll_write(cx, first);
        }
        let mut slices = [io::IoSlice::new(&[]); SLICES_MAX];
        slices[0] = io::IoSlice::new(first);
        let mut count = 1;
        for (slice, frame) in slices[1..].iter_mut().zip(self.queue.iter().skip(1)) {
            *slice = io::IoSlice::new(frame);
            count += 1;
        }
        stream.poll_write_vectored(cx, &slices[..count])
    }

    fn advance(&mut self, bytes: usize) {
        self.progress += bytes as u64;
        self.written += bytes;
        while let Some(first) = self.queue.front() {
            if self.written < first.len() {
                return;
            }
            self.written -= first.len();
            self.queue.pop_front();
        }
    }

    /// Reads and forgets; `false` at the end of the stream.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut scratch = [std::mem::MaybeUninit::uninit(); 4_096];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(!buffer.filled().is_empty())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Frames a payload (RFC 6455, section 5.2): final, unmasked, text for JSON, else binary.
pub(super) fn frame(encoding: Encoding, payload: &[u8]) -> Bytes {
    let opcode = match encoding {
        Encoding::MessagePack => 0x82,
        Encoding::Json => 0x81,
    };
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(opcode);
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => frame.put_u8(short),
        (_, Ok(medium)) => {
            frame.put_u8(126);
            frame.put_u16(medium);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(length as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

fn fault(error: &Error) -> Incoming {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Incoming::Fault(CloseCode::TooBig),
        Error::Utf8(_) => Incoming::Fault(CloseCode::Malformed),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Incoming::Gone,
        Error::Protocol(_) => Incoming::Fault(CloseCode::Protocol),
        _ => Incoming::Gone,
    }
}

/// What tungstenite sees as a blocking stream: reads come from the socket, writes go to `control`.
struct Bridge<'a, 'b, S> {
    stream: Option<(Pin<&'a mut S>, &'a mut Context<'b>)>,
    control: &'a mut Vec<u8>,
}

impl<S: AsyncRead> io::Read for Bridge<'_, '_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some((stream, cx)) = &mut self.stream else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let mut buffer = ReadBuf::new(bytes);
        match stream.as_mut().poll_read(cx, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S> io::Write for Bridge<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.control.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
