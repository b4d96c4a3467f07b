//! SRTP (RFC 3711, RFC 7714): opening what peers send, sealing what subscribers get.
//!
//! Opening uses the library's contexts. Sealing is done here, in place in the buffer that is sent,
//! because the library allocates per packet and viewer; its key derivation is private, so that is
//! here too, and tests hold both against the library.

use std::sync::Arc;

use bytes::Bytes;
use rtc_crypto::{
    AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CryptoError, HmacAlgorithm, Mac, RTCCrypto,
    RTCCryptoProvider, StreamCipher, StreamCipherAlgorithm,
};
use rtc_srtp::config::SessionKeys;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::forward::packet::{HEADER_BYTES, source_of};
use crate::limits;

/// Late retransmissions must still be inside the replay window.
const REPLAY_WINDOW: usize = 1_024;

/// Opens what one peer sends.
///
/// The library keeps state per source from the first packet on, forged or not. So an unknown source
/// first has to prove itself in a throw-away context.
pub(crate) struct Opener {
    keys: Keys,
    context: Context,
    probation: Context,
    tried: u32,
    media: Vec<u32>,
    control: Vec<u32>,
}

/// The keys of one direction.
#[derive(Clone)]
struct Keys {
    crypto: Arc<dyn RTCCryptoProvider>,
    profile: ProtectionProfile,
    key: Vec<u8>,
    salt: Vec<u8>,
}

impl Keys {
    fn context(&self) -> Option<Context> {
        let media = Some(srtp_replay_protection(REPLAY_WINDOW));
        let control = Some(srtcp_replay_protection(64));
        let crypto = self.crypto.crypto();
        Context::new(&self.key, &self.salt, self.profile, media, control, crypto).ok()
    }
}

impl Opener {
    /// `None` if the library refuses the keys.
    pub(crate) fn new(
        crypto: Arc<dyn RTCCryptoProvider>,
        profile: ProtectionProfile,
        keys: &SessionKeys,
    ) -> Option<Self> {
        let keys = Keys {
            crypto,
            profile,
            key: keys.remote_master_key.clone(),
            salt: keys.remote_master_salt.clone(),
        };
        Some(Self {
            context: keys.context()?,
            probation: keys.context()?,
            keys,
            tried: 0,
            media: Vec::new(),
            control: Vec::new(),
        })
    }

    /// Opens a media packet; `None` if it is forged, repeated or of one source too many.
    pub(crate) fn open_media(&mut self, packet: &[u8]) -> Option<Bytes> {
        let source = source_of(packet)?;
        if !self.media.contains(&source) {
            if self.media.len() >= limits::SOURCES_PER_PUBLISHER {
                return None;
            }
            self.on_probation()?.decrypt_rtp(packet).ok()?;
            self.media.push(source);
        }
        self.context
            .decrypt_rtp(packet)
            .ok()
            .map(bytes::BytesMut::freeze)
    }

    /// Opens a control packet, likewise.
    pub(crate) fn open_control(&mut self, packet: &[u8]) -> Option<Bytes> {
        let source = packet.get(4..8)?.try_into().ok().map(u32::from_be_bytes)?;
        if !self.control.contains(&source) {
            if self.control.len() >= limits::RTCP_SOURCES {
                return None;
            }
            self.on_probation()?.decrypt_rtcp(packet).ok()?;
            self.control.push(source);
        }
        self.context
            .decrypt_rtcp(packet)
            .ok()
            .map(bytes::BytesMut::freeze)
    }

    fn on_probation(&mut self) -> Option<&mut Context> {
        self.tried += 1;
        if self.tried >= limits::PROBATION_PACKETS {
            self.tried = 0;
            self.probation = self.keys.context()?;
        }
        Some(&mut self.probation)
    }
}

/// Seals RTP for one peer, in place. Stateless: the caller gives the packet index and must never
/// give the same index and source twice.
pub(crate) struct Sealer {
    cipher: Cipher,
}

enum Cipher {
    Gcm {
        aead: Box<dyn AeadCipher>,
        salt: [u8; 12],
    },
    Counter {
        stream: Box<dyn StreamCipher>,
        mac: Box<dyn Mac>,
        salt: [u8; 14],
    },
}

/// What sealing adds to a packet at most.
pub(crate) const SEAL_BYTES: usize = 16;
/// The tag of AES_CM_128_HMAC_SHA1_80.
const COUNTER_TAG: usize = 10;

impl Sealer {
    pub(crate) fn new(
        crypto: &dyn RTCCrypto,
        profile: ProtectionProfile,
        keys: &SessionKeys,
    ) -> Option<Self> {
        let (key, master_salt) = (&keys.local_master_key, &keys.local_master_salt);
        let derive = |label, out: &mut [u8]| derive(crypto, label, key, master_salt, out).ok();
        let mut session_key = [0; 16];
        derive(0, &mut session_key)?;
        let cipher = match profile {
            ProtectionProfile::AeadAes128Gcm => {
                let mut salt = [0; 12];
                derive(2, &mut salt)?;
                let aead = crypto
                    .new_aead(AeadAlgorithm::Aes128Gcm, &session_key)
                    .ok()?;
                Cipher::Gcm { aead, salt }
            }
            ProtectionProfile::Aes128CmHmacSha1_80 => {
                let (mut salt, mut auth) = ([0; 14], [0; 20]);
                derive(2, &mut salt)?;
                derive(1, &mut auth)?;
                let stream = crypto
                    .new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &session_key)
                    .ok()?;
                let mac = crypto.new_hmac(HmacAlgorithm::Sha1, &auth).ok()?;
                Cipher::Counter { stream, mac, salt }
            }
            _ => return None,
        };
        Some(Self { cipher })
    }

    /// Seals the packet that begins at `start` of `buffer` and ends with it.
    pub(crate) fn seal(
        &mut self,
        buffer: &mut Vec<u8>,
        start: usize,
        source: u32,
        index: u64,
    ) -> Result<(), CryptoError> {
        match &mut self.cipher {
            Cipher::Gcm { aead, salt } => {
                let mut nonce = *salt;
                xor(&mut nonce[2..6], &source.to_be_bytes());
                xor(&mut nonce[6..12], &index.to_be_bytes()[2..]);
                let (header, payload) = buffer[start..].split_at_mut(HEADER_BYTES);
                let mut tag = [0; SEAL_BYTES];
                aead.seal_in_place(&nonce, header, payload, &mut tag)?;
                buffer.extend_from_slice(&tag);
            }
            Cipher::Counter { stream, mac, salt } => {
                let mut iv = [0; 16];
                iv[..14].copy_from_slice(salt);
                xor(&mut iv[4..8], &source.to_be_bytes());
                xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
                stream.apply_keystream(&iv, &mut buffer[start + HEADER_BYTES..])?;
                let mut tag = [0; 20];
                let rollover = ((index >> 16) as u32).to_be_bytes();
                mac.sign(&[&buffer[start..], &rollover], &mut tag)?;
                buffer.extend_from_slice(&tag[..COUNTER_TAG]);
            }
        }
        Ok(())
    }
}

fn xor(target: &mut [u8], with: &[u8]) {
    for (byte, other) in target.iter_mut().zip(with) {
        *byte ^= other;
    }
}

/// The key derivation of RFC 3711, 4.3, with a derivation rate of zero.
fn derive(
    crypto: &dyn RTCCrypto,
    label: u8,
    key: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    let mut input = [0_u8; 16];
    input[..salt.len()].copy_from_slice(salt);
    input[7] ^= label;
    for (counter, chunk) in out.chunks_mut(16).enumerate() {
        let mut block = input;
        block[15] ^= counter as u8;
        crypto.block_encrypt(BlockCipherAlgorithm::Aes128, key, &mut block)?;
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(profile: ProtectionProfile) -> SessionKeys {
        let bytes = |n: usize, from: u8| (0..n as u8).map(|at| at.wrapping_mul(7) + from).collect();
        SessionKeys {
            local_master_key: bytes(profile.key_len(), 1),
            local_master_salt: bytes(profile.salt_len(), 2),
            remote_master_key: bytes(profile.key_len(), 1),
            remote_master_salt: bytes(profile.salt_len(), 2),
        }
    }

    fn packet(index: u64, source: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend_from_slice(&(index as u16).to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9]);
        packet.extend_from_slice(&source.to_be_bytes());
        packet.extend_from_slice(&[7; 333]);
        packet
    }

    #[test]
    fn the_library_opens_what_is_sealed_here_across_the_rollover() {
        let provider = rtc_crypto::default_provider().expect("built in");
        for profile in [
            ProtectionProfile::AeadAes128Gcm,
            ProtectionProfile::Aes128CmHmacSha1_80,
        ] {
            let keys = keys(profile);
            let mut sealer = Sealer::new(provider.crypto(), profile, &keys).expect("supported");
            let mut opener = Opener::new(provider.clone(), profile, &keys).expect("supported");
            for index in (100..200_000).step_by(20_011) {
                let mut buffer = b"before".to_vec();
                buffer.extend_from_slice(&packet(index, 42));
                sealer.seal(&mut buffer, 6, 42, index).expect("sealed");
                let opened = opener.open_media(&buffer[6..]).expect("authentic");
                assert_eq!(opened[..], packet(index, 42)[..], "{profile:?} {index}");
                assert_eq!(opener.open_media(&buffer[6..]), None, "a replay");
            }
        }
    }

    #[test]
    fn forged_sources_leave_nothing_behind_and_do_not_lock_out_real_ones() {
        let provider = rtc_crypto::default_provider().expect("built in");
        let profile = ProtectionProfile::AeadAes128Gcm;
        let keys = keys(profile);
        let mut opener = Opener::new(provider.clone(), profile, &keys).expect("supported");
        for source in 0..10_000 {
            assert_eq!(opener.open_media(&packet(1, source)), None);
        }
        assert!(opener.media.is_empty());
        let mut sealer = Sealer::new(provider.crypto(), profile, &keys).expect("supported");
        let mut buffer = packet(5, 42);
        sealer.seal(&mut buffer, 0, 42, 5).expect("sealed");
        assert!(opener.open_media(&buffer).is_some());
    }
}
