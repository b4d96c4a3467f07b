//! An interceptor that counts what the server reports to the publisher: requests for a keyframe,
//! which the publisher obeys, and transport-wide feedback. Everything passes through it unchanged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// What was counted so far.
#[derive(Debug, Default)]
pub(crate) struct Feedback {
    keyframes: AtomicU64,
    transport: AtomicU64,
}

impl Feedback {
    /// Requests for a keyframe, PLI or FIR.
    pub(crate) fn keyframe_requests(&self) -> u64 {
        self.keyframes.load(Ordering::Relaxed)
    }

    /// Reports of when each packet arrived.
    pub(crate) fn transport_reports(&self) -> u64 {
        self.transport.load(Ordering::Relaxed)
    }

    fn count(&self, packets: &[Box<dyn rtcp::Packet>]) {
        for packet in packets.iter().map(|packet| packet.as_any()) {
            if packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>() {
                self.keyframes.fetch_add(1, Ordering::Relaxed);
            } else if packet.is::<TransportLayerCc>() {
                self.transport.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The interceptor. Its queues hold what the chain has not fetched yet: one packet.
pub(crate) struct Listener {
    feedback: Arc<Feedback>,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl Listener {
    pub(crate) fn new(feedback: Arc<Feedback>) -> Self {
        Self {
            feedback,
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Listener {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            self.feedback.count(packets);
        }
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.outbound.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }
}

impl Interceptor for Listener {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
