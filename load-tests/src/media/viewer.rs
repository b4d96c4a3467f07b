//! One who watches: a guest's token, WHEP, a connection of its own, and a tally of what comes. Asks
//! for a keyframe as a decoder would that has none. Decodes nothing.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use vetrina_protocol::id::ShowId;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use super::exchange::{self, ExchangeError, Resource};
use super::peer::{Peer, PeerError};
use super::restart;
use super::tally::{Picture, Tally};
use crate::buyer::{self, BuyerError};
use crate::server::Server;

/// A viewer without a picture asks for a keyframe this often, as browsers do.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Without a picture after this time there will be none.
pub(crate) const PICTURE_WITHIN: Duration = Duration::from_secs(10);

/// Why a viewer sees nothing, or could not leave.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViewerError {
    #[error("a guest's token: {0}")]
    Token(#[from] BuyerError),
    #[error("{0}")]
    Peer(#[from] PeerError),
    #[error("{0}")]
    Exchange(#[from] ExchangeError),
    #[error("the answer to an ICE restart has no credentials")]
    NoCredentials,
}

/// A viewer with a session.
pub(crate) struct Viewer {
    /// From the offer to the connection.
    pub(crate) connected_after: Duration,
    /// From the offer to the last packet of the first keyframe; `None` if none came.
    pub(crate) picture_after: Option<Duration>,
    tally: Arc<Mutex<Tally>>,
    peer: Peer,
    resource: Resource,
    /// Ends with this value.
    readers: JoinSet<()>,
}

impl Viewer {
    /// Joins as the n-th guest of the show and waits for the picture.
    pub(crate) async fn join(server: &Server, show: ShowId, n: usize) -> Result<Self, ViewerError> {
        let http = http(server, n).map_err(BuyerError::from)?;
        let guest = buyer::guest(&http, &server.base, show).await?;
        let (mut peer, tracks) = Peer::new(server.address, None).await?;
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                ..Default::default()
            };
            let added = peer.connection.add_transceiver_from_kind(kind, Some(init));
            added.await.map_err(PeerError::from)?;
        }
        let offer = peer.offer().await?;
        let endpoint = format!("{}/v1/shows/{show}/whep", server.base);
        let resource = exchange::offer(&http, &endpoint, &guest.token, &offer).await?;
        peer.accept(&resource.answer).await?;
        peer.connected().await?;
        let mut viewer = Self {
            connected_after: resource.asked.elapsed(),
            picture_after: None,
            tally: Arc::default(),
            peer,
            resource,
            readers: JoinSet::new(),
        };
        viewer.picture_after = viewer.watch(tracks).await;
        Ok(viewer)
    }

    /// Reads all tracks from now on; back when the first keyframe is whole.
    async fn watch(&mut self, tracks: mpsc::Receiver<Arc<dyn TrackRemote>>) -> Option<Duration> {
        let (complete, mut completed) = watch::channel(None::<Instant>);
        self.readers
            .spawn(read_all(tracks, self.tally.clone(), complete));
        let there = completed.wait_for(Option::is_some);
        let at = tokio::time::timeout(PICTURE_WITHIN, there).await;
        let at = (*at.ok()?.ok()?)?;
        Some(at.duration_since(self.resource.asked))
    }

    /// Restarts ICE (RFC 9725, 4.3.3); gives the time from the request until it is connected.
    pub(crate) async fn restart(&mut self) -> Result<Duration, ViewerError> {
        let offer = self.peer.restart().await?;
        let asked = Instant::now();
        let fragment = self.resource.restart(restart::fragment_of(&offer)).await?;
        let answer = restart::answer_with(&self.resource.answer, &fragment);
        let answer = answer.ok_or(ViewerError::NoCredentials)?;
        self.peer.accept(&answer).await?;
        self.peer.restarted().await?;
        Ok(asked.elapsed())
    }

    /// What came so far.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// Deletes the session and closes the connection, the latter in any case.
    pub(crate) async fn leave(self) -> Result<(), ViewerError> {
        let deleted = self.resource.delete().await;
        self.peer
            .connection
            .close()
            .await
            .map_err(PeerError::from)?;
        Ok(deleted?)
    }
}

/// Limits per address are meant for real addresses, of which each viewer would have its own.
fn http(server: &Server, n: usize) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder().no_proxy();
    if server.address.ip().is_loopback() {
        return builder.local_address(buyer::source_address(n)).build();
    }
    builder.build()
}

/// Reads every track that opens: sound may begin after the picture.
async fn read_all(
    mut tracks: mpsc::Receiver<Arc<dyn TrackRemote>>,
    tally: Arc<Mutex<Tally>>,
    complete: watch::Sender<Option<Instant>>,
) {
    let mut readers = JoinSet::new();
    while let Some(track) = tracks.recv().await {
        readers.spawn(read(track, tally.clone(), complete.clone()));
    }
}

/// Counts everything of one track until it ends.
async fn read(
    track: Arc<dyn TrackRemote>,
    tally: Arc<Mutex<Tally>>,
    complete: watch::Sender<Option<Instant>>,
) {
    let mut asked = None::<Instant>;
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(packet) = event else {
            continue;
        };
        let picture = lock(&tally).count(packet.header.sequence_number, &packet.payload);
        match picture {
            Picture::Complete => {
                complete.send_replace(Some(Instant::now()));
            }
            Picture::NeedsKeyframe if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) => {
                asked = Some(Instant::now());
                let request = PictureLossIndication {
                    sender_ssrc: 0,
                    media_ssrc: packet.header.ssrc,
                };
                // The connection may be closing; then there is nobody to ask.
                let _ = track.write_rtcp(vec![Box::new(request)]).await;
            }
            Picture::AsItWas | Picture::Begins | Picture::NeedsKeyframe => {}
        }
    }
}

/// Nothing panics while it counts.
fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
