//! A WebRTC client for tests: real ICE checks, DTLS and SRTP over loopback UDP, made of library
//! parts. It shares no code with the engine's sending half, so it can tell when that is wrong.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::default_provider;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_rtp::header::Header;
use rtc_rtp::packet::Packet;
use rtc_shared::TransportProtocol;
use rtc_shared::marshal::{Marshal, Unmarshal};
use rtc_srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, TransactionId};
use rtc_stun::textattrs::TextAttribute;
use sha2::{Digest, Sha256};

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// What a client offers and how it behaves.
#[derive(Clone)]
pub(crate) struct Habits {
    pub(crate) publishes: bool,
    pub(crate) rtx: bool,
    /// Offers a fingerprint that is not its certificate's.
    pub(crate) lies: bool,
    pub(crate) profiles: Vec<SrtpProtectionProfile>,
}

impl Habits {
    pub(crate) fn publisher() -> Self {
        let profiles = vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm];
        Self {
            publishes: true,
            rtx: true,
            lies: false,
            profiles,
        }
    }

    pub(crate) fn viewer() -> Self {
        Self {
            publishes: false,
            ..Self::publisher()
        }
    }
}

pub(crate) const VIDEO: u32 = 1_111;
pub(crate) const AUDIO: u32 = 2_222;
pub(crate) const VP8: u8 = 96;
pub(crate) const RTX: u8 = 97;
pub(crate) const OPUS: u8 = 111;

pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    pub(crate) server: SocketAddr,
    pub(crate) habits: Habits,
    certificate: Certificate,
    dtls: Endpoint,
    out: Option<Context>,
    into: Option<Context>,
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    /// Media in order of arrival.
    pub(crate) media: Vec<Packet>,
    /// The datagrams they came in.
    pub(crate) sealed: Vec<Vec<u8>>,
    /// Decrypted RTCP compounds.
    pub(crate) control: Vec<Vec<u8>>,
    /// ICE checks sent, and those that were answered.
    pub(crate) asked: usize,
    pub(crate) checks: usize,
    pub(crate) closed: bool,
    pub(crate) failed: bool,
    last_check: Option<Instant>,
}

fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 7))
}

impl Client {
    pub(crate) fn new(server: SocketAddr, habits: Habits) -> Self {
        let provider = default_provider().expect("built in");
        let names = vec!["client".to_owned()];
        let certificate = Certificate::generate_self_signed(names, provider.crypto());
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
        socket
            .set_read_timeout(Some(Duration::from_millis(2)))
            .expect("a positive time");
        let local = socket.local_addr().expect("bound");
        Self {
            socket,
            server,
            habits,
            certificate: certificate.expect("made"),
            dtls: Endpoint::new(local, TransportProtocol::UDP, None),
            out: None,
            into: None,
            ufrag: String::new(),
            pwd: String::new(),
            media: Vec::new(),
            sealed: Vec::new(),
            control: Vec::new(),
            asked: 0,
            checks: 0,
            closed: false,
            failed: false,
            last_check: None,
        }
    }

    pub(crate) fn offer(&self) -> String {
        let mut digest = Sha256::digest(&self.certificate.certificate[0]).to_vec();
        digest[0] ^= u8::from(self.habits.lies);
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let common = format!(
            "c=IN IP4 0.0.0.0\r\na=ice-ufrag:client\r\na=ice-pwd:0123456789abcdef01234567\r\n\
             a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=rtcp-mux\r\na={}\r\n",
            pairs.join(":"),
            if self.habits.publishes {
                "sendonly"
            } else {
                "recvonly"
            },
        );
        let (formats, repair) = if self.habits.rtx {
            (
                format!("{VP8} {RTX}"),
                format!("a=rtpmap:{RTX} rtx/90000\r\na=fmtp:{RTX} apt={VP8}\r\n"),
            )
        } else {
            (VP8.to_string(), String::new())
        };
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}\r\n{common}a=mid:0\r\n\
             a=rtpmap:{OPUS} opus/48000/2\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF {formats}\r\n{common}a=mid:1\r\n\
             a=rtpmap:{VP8} VP8/90000\r\na=rtcp-fb:{VP8} nack\r\na=rtcp-fb:{VP8} nack pli\r\n\
             {repair}"
        )
    }

    pub(crate) fn take_answer(&mut self, sdp: &str) {
        self.ufrag = line(sdp, "a=ice-ufrag:");
        self.pwd = line(sdp, "a=ice-pwd:");
        let provider = default_provider().expect("built in");
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![self.certificate.clone()])
            .with_srtp_protection_profiles(self.habits.profiles.clone())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_server_name("server".into())
            .build(true, None)
            .expect("valid");
        self.check();
        self.dtls
            .connect(Instant::now(), peer(), config.into(), None)
            .expect("begun");
        self.send_dtls();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.out.is_some()
    }

    /// Sends an ICE check with the present credentials.
    pub(crate) fn check(&mut self) {
        self.last_check = Some(Instant::now());
        self.asked += 1;
        let provider = default_provider().expect("built in");
        let (name, pwd) = (format!("{}:client", self.ufrag), self.pwd.clone());
        let mut message = Message::new();
        message
            .build(&[
                Box::new(BINDING_REQUEST),
                Box::new(TransactionId::new()),
                Box::new(TextAttribute::new(ATTR_USERNAME, name)),
                Box::new(RawAttribute {
                    typ: ATTR_USE_CANDIDATE,
                    length: 0,
                    value: vec![],
                }),
                Box::new(MessageIntegrity::new_short_term_integrity_with_provider(
                    pwd,
                    provider.crypto(),
                )),
                Box::new(FINGERPRINT),
            ])
            .expect("fits");
        self.socket
            .send_to(&message.raw, self.server)
            .expect("sent");
    }

    /// Receives until `done` or the deadline; tells whether it is done.
    pub(crate) fn pump(&mut self, mut done: impl FnMut(&Self) -> bool) -> bool {
        let begun = Instant::now();
        while !done(self) {
            if begun.elapsed() > DEADLINE {
                return false;
            }
            self.receive_one();
        }
        true
    }

    /// Receives for a while, for tests that nothing comes.
    pub(crate) fn listen(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.receive_one();
        }
    }

    fn receive_one(&mut self) {
        let now = Instant::now();
        let mut buffer = [0; 2_048];
        if let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            self.receive(&buffer[..length], now);
        }
        let _ = self.dtls.handle_timeout(peer(), now);
        self.send_dtls();
        if self
            .last_check
            .is_some_and(|at| at.elapsed() > Duration::from_millis(500))
        {
            self.check();
        }
    }

    fn receive(&mut self, datagram: &[u8], now: Instant) {
        match datagram[0] {
            0..=3 => self.checks += 1,
            20..=63 => match self.dtls.read(now, peer(), None, BytesMut::from(datagram)) {
                Ok(events) => events.iter().for_each(|event| match event {
                    EndpointEvent::HandshakeComplete => self.derive(),
                    EndpointEvent::PeerClosed => self.closed = true,
                    _ => {}
                }),
                Err(_) => self.failed = true,
            },
            _ if (192..=223).contains(&datagram[1]) => {
                let opened = self
                    .into
                    .as_mut()
                    .and_then(|into| into.decrypt_rtcp(datagram).ok());
                self.control.extend(opened.map(|bytes| bytes.to_vec()));
            }
            _ => {
                self.sealed.push(datagram.to_vec());
                let opened = self
                    .into
                    .as_mut()
                    .and_then(|into| into.decrypt_rtp(datagram).ok());
                if let Some(bytes) = opened {
                    self.media
                        .push(Packet::unmarshal(&mut bytes.freeze()).expect("RTP"));
                }
            }
        }
    }

    fn derive(&mut self) {
        let provider = default_provider().expect("built in");
        let state = self.dtls.get_connection_state(peer()).expect("connected");
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            _ => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let mut config = Config {
            profile,
            ..Config::default()
        };
        let length = config.keying_material_len();
        let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], length);
        let material = material.expect("exported").into_bytes();
        config
            .set_session_keys_from_keying_material(&material, true)
            .expect("split");
        let keys = &config.keys;
        let context = |key: &[u8], salt: &[u8]| {
            Context::new(key, salt, profile, None, None, provider.crypto()).expect("valid")
        };
        self.out = Some(context(&keys.local_master_key, &keys.local_master_salt));
        self.into = Some(context(&keys.remote_master_key, &keys.remote_master_salt));
    }

    fn send_dtls(&mut self) {
        while let Some(transmit) = self.dtls.poll_transmit() {
            self.socket
                .send_to(&transmit.message, self.server)
                .expect("sent");
        }
    }

    /// Seals a packet without sending it.
    pub(crate) fn seal(&mut self, packet: &Packet) -> Vec<u8> {
        let plain = packet.marshal().expect("fits");
        self.out
            .as_mut()
            .expect("connected")
            .encrypt_rtp(&plain)
            .expect("sealed")
            .to_vec()
    }

    pub(crate) fn send(&mut self, packet: &Packet) {
        let sealed = self.seal(packet);
        self.socket.send_to(&sealed, self.server).expect("sent");
    }

    pub(crate) fn send_control(&mut self, compound: &[u8]) {
        let out = self.out.as_mut().expect("connected");
        let sealed = out.encrypt_rtcp(compound).expect("sealed");
        self.socket.send_to(&sealed, self.server).expect("sent");
    }

    /// Media of the video source that this side receives, without retransmissions.
    pub(crate) fn video(&self) -> Vec<&Packet> {
        self.media
            .iter()
            .filter(|packet| packet.header.payload_type == VP8)
            .collect()
    }

    /// RTCP packets of a type (and feedback format) received so far.
    pub(crate) fn count_control(&self, kind: u8, format: Option<u8>) -> usize {
        let matches = |packet: &&[u8]| {
            packet[1] == kind && format.is_none_or(|format| packet[0] & 0x1f == format)
        };
        self.control
            .iter()
            .flat_map(|compound| split(compound))
            .filter(matches)
            .count()
    }
}

/// The packets of a compound.
pub(crate) fn split(compound: &[u8]) -> Vec<&[u8]> {
    let (mut packets, mut rest) = (Vec::new(), compound);
    while rest.len() >= 4 {
        let length = 4 * (1 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        packets.push(&rest[..length]);
        rest = &rest[length..];
    }
    packets
}

pub(crate) fn line(sdp: &str, prefix: &str) -> String {
    sdp.lines()
        .find_map(|line| line.strip_prefix(prefix))
        .unwrap_or_default()
        .to_owned()
}

/// A VP8 packet: a whole frame of one packet, with a body that names it.
pub(crate) fn frame(sequence: u16, timestamp: u32, keyframe: bool) -> Packet {
    let body = format!("frame {sequence} {timestamp}");
    let mut payload = vec![0x10, u8::from(!keyframe)];
    payload.extend_from_slice(body.as_bytes());
    rtp(VP8, VIDEO, sequence, timestamp, payload)
}

pub(crate) fn sound(sequence: u16, timestamp: u32) -> Packet {
    rtp(
        OPUS,
        AUDIO,
        sequence,
        timestamp,
        format!("sound {sequence}").into_bytes(),
    )
}

fn rtp(
    payload_type: u8,
    ssrc: u32,
    sequence_number: u16,
    timestamp: u32,
    payload: Vec<u8>,
) -> Packet {
    let header = Header {
        version: 2,
        marker: true,
        payload_type,
        sequence_number,
        timestamp,
        ssrc,
        ..Header::default()
    };
    Packet {
        header,
        payload: payload.into(),
    }
}
