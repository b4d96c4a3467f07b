//! The one who sends: joins by WHIP and then streams synthetic frames at an even rate until it is
//! told to stop, with a keyframe whenever the server asks and every two seconds. Counts nothing
//! but what it sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp::{Header, Packet};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters,
    RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::rtp_transceiver::RtpSender;

use super::Failed;
use super::exchange::{self, ExchangeError, Resource};
use super::feedback::Feedback;
use super::peer::{Peer, PeerError};
use super::synthetic::{Camera, Microphone};
use crate::server::Server;

/// How the picture is cut into packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) frames_per_second: u32,
    pub(crate) packets_per_frame: u16,
    pub(crate) payload_bytes: usize,
}

/// A keyframe comes this often without being asked for.
const KEYFRAME_EVERY: Duration = Duration::from_secs(2);
/// One packet of sound.
const SOUND_EVERY: Duration = Duration::from_millis(20);
/// Ticks of RTP's clock in a second.
const VIDEO_CLOCK: u32 = 90_000;
const AUDIO_CLOCK: u32 = 48_000;
/// The stream has stopped this long after it was told to.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What was sent so far, for those who count.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) video: AtomicU64,
    pub(crate) audio: AtomicU64,
    pub(crate) keyframes: AtomicU64,
}

/// A publisher that streams.
pub(crate) struct Publisher {
    pub(crate) sent: Arc<Sent>,
    pub(crate) feedback: Arc<Feedback>,
    pub(crate) since: Instant,
    peer: Peer,
    resource: Resource,
    stop: watch::Sender<bool>,
    /// Ends with this value.
    stream: JoinSet<Result<(), PeerError>>,
}

impl Publisher {
    /// Joins and begins to stream.
    pub(crate) async fn start(
        server: &Server,
        http: &reqwest::Client,
        endpoint: &str,
        shape: Shape,
    ) -> Result<Self, Failed> {
        let feedback = Arc::new(Feedback::default());
        let (mut peer, _) = Peer::new(server.address, Some(feedback.clone())).await?;
        let video = Line::open(&peer, RtpCodecKind::Video).await?;
        let audio = Line::open(&peer, RtpCodecKind::Audio).await?;
        let offer = peer.offer().await?;
        let resource = exchange::offer(http, endpoint, server.token(), &offer).await?;
        peer.accept(&resource.answer).await?;
        peer.connected().await?;
        let sent = Arc::new(Sent::default());
        let (stop, stopped) = watch::channel(false);
        let stream = Stream {
            shape,
            video: video.negotiated().await?,
            audio: audio.negotiated().await?,
            sent: sent.clone(),
            feedback: feedback.clone(),
        };
        let mut task = JoinSet::new();
        task.spawn(stream.run(stopped));
        Ok(Self {
            sent,
            feedback,
            since: Instant::now(),
            peer,
            resource,
            stop,
            stream: task,
        })
    }

    /// Stops, leaves and closes; an error if the stream had ended by itself.
    pub(crate) async fn stop(mut self) -> Result<(), Failed> {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(STOP_WITHIN, self.stream.join_next()).await;
        let deleted = self.resource.delete().await;
        self.peer
            .connection
            .close()
            .await
            .map_err(PeerError::from)?;
        match ended {
            Ok(Some(Ok(outcome))) => outcome?,
            Ok(Some(Err(panic))) => return Err(Failed::Stream(panic.to_string())),
            Ok(None) => {}
            Err(_) => return Err(Failed::Stream(format!("it did not end in {STOP_WITHIN:?}"))),
        }
        Ok(deleted?)
    }
}

/// One track and its place in RTP.
struct Line {
    track: Arc<TrackLocalStaticRTP>,
    sender: Arc<dyn RtpSender>,
    kind: RtpCodecKind,
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
}

impl Line {
    /// Adds a track that only sends.
    async fn open(peer: &Peer, kind: RtpCodecKind) -> Result<Self, PeerError> {
        // Random, and room for the retransmissions' beside it.
        let ssrc = rand::random::<u32>() & !1;
        let repairs =
            (kind == RtpCodecKind::Video).then_some(RTCRtpRtxParameters { ssrc: ssrc | 1 });
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                rtx: repairs,
                ..Default::default()
            },
            codec: codec(kind),
            ..Default::default()
        };
        let track = MediaStreamTrack::new(
            "vetrina-load".to_owned(),
            kind.to_string(),
            kind.to_string(),
            kind,
            vec![encoding],
        );
        let track = Arc::new(TrackLocalStaticRTP::new(track));
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Sendonly,
            ..Default::default()
        };
        let transceiver = peer
            .connection
            .add_transceiver_from_track(track.clone(), Some(init))
            .await?;
        let sender = transceiver.sender().await?;
        let sender = sender.ok_or(webrtc::error::Error::ErrRTPSenderNotExisted)?;
        Ok(Self {
            track,
            sender,
            kind,
            ssrc,
            payload_type: 0,
            sequence: rand::random(),
        })
    }

    /// With the payload type that the answer has left.
    async fn negotiated(mut self) -> Result<Self, PeerError> {
        let wanted = codec(self.kind).mime_type;
        let parameters = self.sender.get_parameters().await?.rtp_parameters;
        let mut codecs = parameters.codecs.iter();
        let found = codecs.find(|codec| codec.rtp_codec.mime_type.eq_ignore_ascii_case(&wanted));
        let found = found.ok_or(webrtc::error::Error::ErrRTPTransceiverCodecUnsupported)?;
        self.payload_type = found.payload_type;
        Ok(self)
    }

    async fn send(
        &mut self,
        timestamp: u32,
        marker: bool,
        payload: Bytes,
    ) -> Result<(), PeerError> {
        let header = Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            ..Default::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        Ok(self.track.write_rtp(Packet { header, payload }).await?)
    }
}

fn codec(kind: RtpCodecKind) -> RTCRtpCodec {
    let (mime_type, clock_rate, channels, sdp_fmtp_line) = match kind {
        RtpCodecKind::Audio => ("audio/opus", AUDIO_CLOCK, 2, "minptime=10;useinbandfec=1"),
        _ => ("video/VP8", VIDEO_CLOCK, 0, ""),
    };
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: sdp_fmtp_line.to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

/// The stream itself.
struct Stream {
    shape: Shape,
    video: Line,
    audio: Line,
    sent: Arc<Sent>,
    feedback: Arc<Feedback>,
}

impl Stream {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Result<(), PeerError> {
        let mut camera = Camera::new(self.shape.payload_bytes, self.shape.packets_per_frame);
        let mut microphone = Microphone::default();
        let mut frames = interval(Duration::from_secs(1) / self.shape.frames_per_second);
        let mut sounds = interval(SOUND_EVERY);
        // A machine that is late sends later, not more at once; the timestamps say when.
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begin = Instant::now();
        let (mut last_keyframe, mut obeyed) = (None::<Instant>, 0);
        loop {
            tokio::select! {
                _ = stopped.changed() => return Ok(()),
                _ = frames.tick() => {
                    let requests = self.feedback.keyframe_requests();
                    let due = last_keyframe.is_none_or(|last| last.elapsed() >= KEYFRAME_EVERY);
                    let keyframe = due || requests > obeyed;
                    if keyframe {
                        (last_keyframe, obeyed) = (Some(Instant::now()), requests);
                        self.sent.keyframes.fetch_add(1, Ordering::Relaxed);
                    }
                    let timestamp = ticks(begin.elapsed(), VIDEO_CLOCK);
                    self.picture(camera.frame(keyframe), timestamp).await?;
                    self.sent.video.store(camera.packets(), Ordering::Release);
                }
                _ = sounds.tick() => {
                    let timestamp = ticks(begin.elapsed(), AUDIO_CLOCK);
                    self.audio.send(timestamp, false, microphone.frame()).await?;
                    self.sent.audio.store(microphone.packets(), Ordering::Release);
                }
            }
        }
    }

    async fn picture(&mut self, payloads: Vec<Bytes>, timestamp: u32) -> Result<(), PeerError> {
        let last = payloads.len() - 1;
        for (part, payload) in payloads.into_iter().enumerate() {
            self.video.send(timestamp, part == last, payload).await?;
        }
        Ok(())
    }
}

/// RTP's clock, which wraps.
fn ticks(elapsed: Duration, clock: u32) -> u32 {
    (elapsed.as_micros() * u128::from(clock) / 1_000_000) as u32
}

impl From<ExchangeError> for Failed {
    fn from(error: ExchangeError) -> Self {
        Self::Publisher(error.to_string())
    }
}

impl From<PeerError> for Failed {
    fn from(error: PeerError) -> Self {
        Self::Publisher(error.to_string())
    }
}
