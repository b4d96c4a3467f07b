//! Datagrams on their way out: collected in one buffer, those of one viewer next to each other.
//! Runs of one size to one viewer leave in one system call (UDP segmentation), which is most of the
//! cost.

use super::port::{Port, Route};
use crate::limits;

/// Collects and sends.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    /// Ends of the datagrams in the buffer, and where they go.
    datagrams: Vec<(usize, Route)>,
    failed: u64,
}

impl Outbox {
    /// Datagrams that the socket would not take.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Queues a ready datagram.
    pub(crate) fn push(&mut self, datagram: &[u8], to: Route) {
        self.write(to, |buffer, _| {
            buffer.extend_from_slice(datagram);
            true
        });
    }

    /// Queues what `write` appends to the buffer, whose datagram begins at the given position;
    /// nothing if it returns false. Gives back the datagram's length.
    pub(crate) fn write(
        &mut self,
        to: Route,
        write: impl FnOnce(&mut Vec<u8>, usize) -> bool,
    ) -> usize {
        let start = self.buffer.len();
        if !write(&mut self.buffer, start) {
            self.buffer.truncate(start);
            return 0;
        }
        self.datagrams.push((self.buffer.len(), to));
        self.buffer.len() - start
    }

    /// The last `length` bytes queued, for a copy.
    pub(crate) fn last(&self, length: usize) -> &[u8] {
        &self.buffer[self.buffer.len() - length..]
    }

    /// Whether it should be flushed before more is added, so that a large room needs no large
    /// buffer.
    pub(crate) fn is_large(&self) -> bool {
        self.buffer.len() >= limits::OUTBOX_BYTES
    }

    /// Sends everything. What the socket does not take is dropped: for media late is lost, and for
    /// everything else the sender repeats itself.
    pub(crate) fn flush(&mut self, port: &Port) {
        let mut start = 0;
        let mut rest = &self.datagrams[..];
        while let Some(&(first_end, to)) = rest.first() {
            let segment = first_end - start;
            let count = run(rest, start, port.segments());
            let end = rest[count - 1].0;
            if port.send(to, &self.buffer[start..end], segment).is_err() {
                self.failed += count as u64;
            }
            (start, rest) = (end, &rest[count..]);
        }
        self.datagrams.clear();
        self.buffer.clear();
    }
}

/// How many datagrams from the first on may leave together: to one viewer, all of the size of the
/// first, except that the last may be smaller.
fn run(datagrams: &[(usize, Route)], start: usize, most: usize) -> usize {
    let (first_end, to) = datagrams[0];
    let segment = first_end - start;
    let most = most.min(limits::SEGMENTED_BYTES / segment.max(1)).max(1);
    let mut end = first_end;
    let mut count = 1;
    for (next_end, next_to) in &datagrams[1..] {
        let length = next_end - end;
        if count >= most || *next_to != to || length > segment {
            break;
        }
        count += 1;
        end = *next_end;
        if length < segment {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(port: u16) -> Route {
        Route {
            remote: ([127, 0, 0, 1], port).into(),
            local: None,
        }
    }

    /// Runs of lengths to ports, as (length, port).
    fn runs(datagrams: &[(usize, u16)], most: usize) -> Vec<usize> {
        let mut at = 0;
        let ends: Vec<(usize, Route)> = datagrams
            .iter()
            .map(|(length, port)| {
                at += length;
                (at, route(*port))
            })
            .collect();
        let (mut start, mut rest, mut counts) = (0, &ends[..], Vec::new());
        while !rest.is_empty() {
            let count = run(rest, start, most);
            counts.push(count);
            start = rest[count - 1].0;
            rest = &rest[count..];
        }
        counts
    }

    #[test]
    fn equal_datagrams_to_one_viewer_leave_together() {
        assert_eq!(runs(&[(1_200, 1); 5], 64), [5]);
        assert_eq!(runs(&[(1_200, 1); 5], 2), [2, 2, 1]);
        assert_eq!(runs(&[(1_200, 1); 5], 1), [1; 5], "where the kernel cannot");
        assert_eq!(
            runs(&[(1_200, 1); 120], 64).iter().max(),
            Some(&50),
            "64 KB at most"
        );
    }

    #[test]
    fn only_the_last_may_be_smaller_and_none_larger() {
        assert_eq!(runs(&[(900, 1), (900, 1), (300, 1), (300, 1)], 64), [3, 1]);
        assert_eq!(runs(&[(900, 1), (901, 1), (900, 1)], 64), [1, 2]);
        assert_eq!(
            runs(&[(900, 1), (900, 2), (900, 2)], 64),
            [1, 2],
            "to one viewer"
        );
    }
}
