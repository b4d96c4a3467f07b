//! Datagrams on their way out: collected in one buffer, those of one viewer next to each other,
//! sent in one go. Segmented sends (one system call per viewer and burst) fit in here later.

use std::net::SocketAddr;
use std::ops::Range;

use mio::net::UdpSocket;

/// Sent when it grows beyond this, so that a large room does not need a large buffer.
const FLUSH_BYTES: usize = 256 << 10;

/// Collects and sends.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    datagrams: Vec<(Range<usize>, SocketAddr)>,
    failed: u64,
}

impl Outbox {
    /// Datagrams that the socket would not take.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Queues a ready datagram.
    pub(crate) fn push(&mut self, datagram: &[u8], to: SocketAddr) {
        self.write(to, |buffer, _| {
            buffer.extend_from_slice(datagram);
            true
        });
    }

    /// Queues what `write` appends to the buffer, whose datagram begins at the given position;
    /// nothing if it returns false.
    pub(crate) fn write(
        &mut self,
        to: SocketAddr,
        write: impl FnOnce(&mut Vec<u8>, usize) -> bool,
    ) -> usize {
        let start = self.buffer.len();
        if !write(&mut self.buffer, start) {
            self.buffer.truncate(start);
            return 0;
        }
        self.datagrams.push((start..self.buffer.len(), to));
        self.buffer.len() - start
    }

    /// The bytes queued last, for a copy.
    pub(crate) fn last(&self) -> &[u8] {
        self.datagrams
            .last()
            .map_or(&[], |(range, _)| &self.buffer[range.clone()])
    }

    pub(crate) fn is_large(&self) -> bool {
        self.buffer.len() >= FLUSH_BYTES
    }

    /// Sends everything. What the socket does not take is dropped: for media late is lost, and for
    /// everything else the sender repeats itself.
    pub(crate) fn flush(&mut self, socket: &UdpSocket) {
        for (range, to) in self.datagrams.drain(..) {
            if socket.send_to(&self.buffer[range], to).is_err() {
                self.failed += 1;
            }
        }
        self.buffer.clear();
    }
}
