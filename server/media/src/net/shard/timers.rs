//! What happens by itself: feedback, catching up, consent, handshakes, reports, figures.

use super::Shard;
use super::room::Room;
use crate::api::SessionKind;
use crate::forward::Now;
use crate::forward::clock;
use crate::forward::rtcp::{Compound, SenderReport};
use crate::limits;
use crate::net::peer::Peer;
use crate::sdp::CNAME;

impl Shard {
    pub(super) fn run_timers(&mut self) {
        let now = self.clock.now();
        if now.instant < self.next_tick {
            return;
        }
        self.next_tick = now.instant
            + if self.peers.is_empty() {
                limits::IDLE
            } else {
                limits::TICK
            };
        self.feed_back(now);
        self.steer_all(now);
        if now.instant >= self.next_slow_tick {
            self.next_slow_tick = now.instant + limits::SLOW_TICK;
            self.look_after_peers(now);
            for room in self.rooms.values() {
                room.publish_status(now.instant);
            }
        }
        if now.instant >= self.next_stats {
            let elapsed = now.instant.duration_since(self.next_stats) + limits::STATS_INTERVAL;
            self.next_stats = now.instant + limits::STATS_INTERVAL;
            self.report_to_subscribers(now);
            self.measure(elapsed, now);
        }
    }

    /// Tells publishers what they should know.
    fn feed_back(&mut self, now: Now) {
        for room in self.rooms.values_mut() {
            let Some(active) = &mut room.active else {
                continue;
            };
            let Some(compound) = active.ingest.feedback(now) else {
                continue;
            };
            let Some(peer) = self.peers.get_mut(active.peer) else {
                continue;
            };
            let (Some(secure), Some(to)) = (&mut peer.secure, peer.chosen) else {
                continue;
            };
            if let Some(sealed) = secure.seal_control(compound.as_bytes()) {
                self.outbox.push(&sealed, to);
            }
        }
    }

    /// Consent, deadlines and handshakes.
    fn look_after_peers(&mut self, now: Now) {
        let mut over = Vec::new();
        for (key, peer) in &mut self.peers {
            if let Some(why) = peer.expired(now.instant) {
                over.push((key, why));
            }
            if peer.secure.is_none() {
                peer.association.tick(now.instant);
                while let Some(datagram) = peer.association.poll() {
                    if let Some(to) = peer.chosen {
                        self.outbox.push(&datagram, to);
                    }
                }
            }
        }
        for (key, why) in over {
            self.fail(key, why, now);
        }
        let idle = |room: &Room| {
            room.active.is_none() && room.pending.is_empty() && room.subscribers.is_empty()
        };
        self.rooms.retain(|_, room| {
            let keep =
                !idle(room) || now.instant.duration_since(room.empty_since) < limits::ROOM_IDLE;
            if !keep {
                room.record
                    .set_status(crate::api::BroadcastStatus::default());
                room.add_to(&mut self.totals);
            }
            keep
        });
    }

    /// Sender reports: the same clock for audio and video, so that lips and voice agree.
    fn report_to_subscribers(&mut self, now: Now) {
        let ntp = clock::ntp(now.unix);
        for room in self.rooms.values_mut() {
            let Some(active) = &room.active else { continue };
            for key in &room.subscribers {
                let Some((secure, subscriber, to)) =
                    self.peers.get_mut(*key).and_then(Peer::outlet)
                else {
                    continue;
                };
                for out in subscriber.outs.iter().filter(|out| out.sent.packets > 0) {
                    let ticks = active
                        .lips
                        .ticks(out.kind, &active.ingest, &room.timelines, now);
                    let Some(ticks) = ticks else { continue };
                    let mut compound = Compound::with_sender_report(SenderReport {
                        source: out.source,
                        ntp,
                        rtp: ticks as u32,
                        packets: out.sent.packets as u32,
                        octets: out.sent.bytes as u32,
                    });
                    compound.describe(out.source, CNAME);
                    if let Some(sealed) = secure.seal_control(compound.as_bytes()) {
                        self.outbox.push(&sealed, to);
                    }
                }
            }
        }
    }

    /// Figures for whoever reads them.
    fn measure(&mut self, elapsed: std::time::Duration, now: Now) {
        let mut totals = self.totals;
        totals.forward_queue = 0;
        for room in self.rooms.values_mut() {
            if let Some(active) = &mut room.active {
                active.ingest.measure(elapsed);
            }
            let sent = room.sent.bytes - room.figures.measured_bytes;
            room.figures.measured_bytes = room.sent.bytes;
            let seconds = elapsed.as_secs_f64().max(0.001);
            room.figures.bitrate_out_bps = (sent as f64 * 8.0 / seconds) as u64;
            let peers = &self.peers;
            let watching = room.subscribers.iter().filter_map(|key| {
                let peer = peers.get(*key).filter(|peer| peer.secure.is_some())?;
                peer.subscriber.as_ref()
            });
            let lost: Vec<f64> = watching.clone().map(|s| s.lost_ratio).collect();
            room.figures.lost_ratio = mean(&lost).unwrap_or(0.0);
            let trips = watching.filter_map(|s| s.round_trip);
            let trips: Vec<f64> = trips.map(|trip| trip.as_secs_f64() * 1_000.0).collect();
            room.figures.round_trip_ms = mean(&trips);
            room.record.set_stats(room.stats());
            totals.forward_queue += room.figures.backlog;
            room.add_to(&mut totals);
            room.publish_status(now.instant);
        }
        let kinds = self.peers.iter().map(|(_, peer)| peer.kind());
        let publishers = kinds.filter(|kind| *kind == SessionKind::Publisher).count();
        totals.publishers = publishers as u32;
        totals.subscribers = (self.peers.len() - publishers) as u32;
        totals.sends_failed = self.outbox.failed();
        self.directory.set_stats(totals);
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
