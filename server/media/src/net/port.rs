//! The UDP port: batched receiving, segmented sending, and answers that leave from the very address
//! they were asked at (a machine with several has to, or clients discard them).

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use crate::limits;

/// A path to a client: where it is, and at which of our addresses it reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<IpAddr>,
}

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) socket: UdpSocket,
    state: UdpSocketState,
}

impl Port {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // The kernel grants less if its limits say so; that is no reason not to start.
        let _ = socket.set_recv_buffer_size(limits::SOCKET_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(limits::SOCKET_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into()),
            state,
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// How many datagrams of one size may leave in one call.
    pub(crate) fn segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Fills the batch; an empty socket is an error of kind `WouldBlock`.
    pub(crate) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.filled = 0;
        let mut slices: Vec<IoSliceMut<'_>> = batch
            .buffer
            .chunks_mut(limits::RECEIVE_BYTES)
            .map(IoSliceMut::new)
            .collect();
        let socket = UdpSockRef::from(&self.socket);
        batch.filled = self.state.recv(socket, &mut slices, &mut batch.meta)?;
        Ok(())
    }

    /// Sends `contents` as datagrams of `segment` bytes each, the last perhaps shorter.
    pub(crate) fn send(&self, to: Route, contents: &[u8], segment: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination: to.remote,
            ecn: None,
            contents,
            segment_size: (contents.len() > segment).then_some(segment),
            src_ip: to.local,
        };
        self.state
            .try_send(UdpSockRef::from(&self.socket), &transmit)
    }
}

/// Received datagrams; the kernel may have put several of one sender behind each other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    buffer: Vec<u8>,
    meta: Vec<RecvMeta>,
    filled: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; limits::RECEIVE_BYTES * limits::RECEIVE_BATCH],
            meta: vec![RecvMeta::default(); limits::RECEIVE_BATCH],
            filled: 0,
        }
    }

    /// Every datagram with the path it came on.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (&[u8], Route)> {
        let parts = self
            .buffer
            .chunks(limits::RECEIVE_BYTES)
            .zip(&self.meta)
            .take(self.filled);
        parts.flat_map(|(bytes, meta)| {
            let route = Route {
                remote: meta.addr,
                local: meta.dst_ip,
            };
            bytes[..meta.len]
                .chunks(meta.stride.max(1))
                .map(move |datagram| (datagram, route))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_run_of_datagrams_arrives_as_it_was_and_says_where() {
        let (near, far) = (
            Port::bind(([127, 0, 0, 1], 0).into()).expect("free"),
            Port::bind(([0, 0, 0, 0], 0).into()).expect("free"),
        );
        let to = Route {
            remote: ([127, 0, 0, 1], far.local_addr().expect("bound").port()).into(),
            local: None,
        };
        let sent: Vec<u8> = (0..1_050).map(|at| (at / 100) as u8).collect();
        let most = near.segments().min(11);
        for part in sent.chunks(100 * most) {
            near.send(to, part, 100).expect("sent");
        }
        let (mut batch, mut received) = (Batch::new(), Vec::new());
        let begun = Instant::now();
        while received.len() < 11 && begun.elapsed() < Duration::from_secs(5) {
            if far.receive(&mut batch).is_err() {
                std::thread::yield_now();
                continue;
            }
            for (datagram, route) in batch.datagrams() {
                assert_eq!(route.local, Some([127, 0, 0, 1].into()));
                assert_eq!(route.remote, near.local_addr().expect("bound"));
                received.push(datagram.to_vec());
            }
        }
        let expected: Vec<Vec<u8>> = sent.chunks(100).map(<[u8]>::to_vec).collect();
        assert_eq!(received, expected);
        println!("{} segments a call", near.segments());
    }
}
