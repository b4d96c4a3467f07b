//! One peer connection of the `webrtc` crate: its codecs and interceptors, the offer with all
//! candidates inside, and the states that it goes through. Knows neither HTTP nor what is sent.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{Registry, Slot};
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCConfigurationBuilder, RTCIceConnectionState, RTCIceGatheringState, RTCPeerConnectionState,
    RTCSessionDescription, SettingEngineBuilder, configure_twcc_sender_only,
    register_default_interceptors,
};

use super::feedback::{Feedback, Listener};

/// Host candidates only: gathering is local.
const GATHER_WITHIN: Duration = Duration::from_secs(5);
/// Checks, handshake and keys; loopback takes a fraction of a second.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// A session has two tracks.
const TRACKS: usize = 4;

/// Why a peer is not connected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("the WebRTC engine: {0}")]
    Engine(#[from] webrtc::error::Error),
    #[error("no local address towards {0}: {1}")]
    NoRoute(SocketAddr, std::io::Error),
    #[error("candidates were not gathered within {GATHER_WITHIN:?}")]
    NotGathered,
    #[error("not connected within {CONNECT_WITHIN:?}: {0}")]
    NotConnected(RTCPeerConnectionState),
    #[error("ICE did not connect again within {CONNECT_WITHIN:?}: {0}")]
    NotRestarted(RTCIceConnectionState),
}

/// The connection and what it reports.
pub(crate) struct Peer {
    pub(crate) connection: Arc<dyn PeerConnection>,
    states: watch::Receiver<RTCPeerConnectionState>,
    ice: watch::Receiver<RTCIceConnectionState>,
    gathering: watch::Receiver<RTCIceGatheringState>,
}

impl Peer {
    /// A peer on the local address from which `server` is reached. With `feedback` it is meant to
    /// send: it numbers its packets for transport-wide feedback and counts what comes back. Gives
    /// the tracks that the server sends, too.
    pub(crate) async fn new(
        server: SocketAddr,
        feedback: Option<Arc<Feedback>>,
    ) -> Result<(Self, mpsc::Receiver<Arc<dyn TrackRemote>>), PeerError> {
        let local = local_ip(server).map_err(|error| PeerError::NoRoute(server, error))?;
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        let mut registry = register_default_interceptors(Registry::new(), &mut media)?;
        if let Some(feedback) = feedback {
            registry = configure_twcc_sender_only(registry, &mut media)?;
            // Nearest to the wire: others swallow what they have dealt with.
            registry = registry.with(Slot::from(500), Listener::new(feedback));
        }
        let settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(local.is_loopback())
            .with_multicast_dns_mode(MulticastDnsMode::Disabled);
        let (tracks, tracks_seen) = mpsc::channel(TRACKS);
        let (states, states_seen) = watch::channel(RTCPeerConnectionState::New);
        let (ice, ice_seen) = watch::channel(RTCIceConnectionState::New);
        let (gathering, gathering_seen) = watch::channel(RTCIceGatheringState::New);
        let events = Events {
            tracks,
            states,
            ice,
            gathering,
        };
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings.build())
            .with_handler(Arc::new(events))
            .with_udp_addrs(vec![SocketAddr::new(local, 0)])
            .build()
            .await?;
        let peer = Self {
            connection: Arc::new(connection),
            states: states_seen,
            ice: ice_seen,
            gathering: gathering_seen,
        };
        Ok((peer, tracks_seen))
    }

    /// An offer with all candidates inside.
    pub(crate) async fn offer(&mut self) -> Result<String, PeerError> {
        let offer = self.connection.create_offer(None).await?;
        self.gathering.mark_unchanged();
        self.connection.set_local_description(offer).await?;
        let complete = self
            .gathering
            .wait_for(|state| *state == RTCIceGatheringState::Complete);
        // Not what was waited for, which holds a lock, but whether it came.
        let gathered = tokio::time::timeout(GATHER_WITHIN, complete)
            .await
            .is_ok_and(|state| state.is_ok());
        if !gathered {
            return Err(PeerError::NotGathered);
        }
        let local = self.connection.local_description().await;
        local.map(|local| local.sdp).ok_or(PeerError::NotGathered)
    }

    /// Takes the server's answer.
    pub(crate) async fn accept(&self, answer: &str) -> Result<(), PeerError> {
        let answer = RTCSessionDescription::answer(answer.to_owned())?;
        Ok(self.connection.set_remote_description(answer).await?)
    }

    /// Back when media can flow.
    pub(crate) async fn connected(&mut self) -> Result<(), PeerError> {
        let over = |state: &RTCPeerConnectionState| {
            use RTCPeerConnectionState::{Closed, Connected, Failed};
            matches!(state, Connected | Failed | Closed)
        };
        let _ = tokio::time::timeout(CONNECT_WITHIN, self.states.wait_for(over)).await;
        match *self.states.borrow() {
            RTCPeerConnectionState::Connected => Ok(()),
            other => Err(PeerError::NotConnected(other)),
        }
    }

    /// Begins an ICE restart; gives the offer with the new credentials.
    pub(crate) async fn restart(&mut self) -> Result<String, PeerError> {
        self.connection.restart_ice().await?;
        let offer = self.offer().await?;
        self.ice.mark_unchanged();
        Ok(offer)
    }

    /// Back when ICE has connected anew, which it must have left before.
    pub(crate) async fn restarted(&mut self) -> Result<(), PeerError> {
        use RTCIceConnectionState::{Completed, Connected, Failed};
        let over = |state: &RTCIceConnectionState| matches!(state, Connected | Completed | Failed);
        let again = async {
            while self.ice.changed().await.is_ok() && !over(&self.ice.borrow_and_update()) {}
        };
        let changed = tokio::time::timeout(CONNECT_WITHIN, again).await.is_ok();
        match *self.ice.borrow() {
            Connected | Completed if changed => Ok(()),
            other => Err(PeerError::NotRestarted(other)),
        }
    }
}

/// The address from which packets to the server leave.
fn local_ip(server: SocketAddr) -> Result<IpAddr, std::io::Error> {
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    Ok(socket.local_addr()?.ip())
}

/// Passes on what the engine reports; called on its own task, so nothing here waits.
struct Events {
    tracks: mpsc::Sender<Arc<dyn TrackRemote>>,
    states: watch::Sender<RTCPeerConnectionState>,
    ice: watch::Sender<RTCIceConnectionState>,
    gathering: watch::Sender<RTCIceGatheringState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.states.send_replace(state);
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        self.ice.send_replace(state);
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathering.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        // A server that sends more tracks than were asked for gets no further with them.
        let _ = self.tracks.try_send(track);
    }
}
