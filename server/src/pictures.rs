//! Pictures: which bytes are accepted, and under which id. The kind is read from the bytes, never
//! believed; an SVG must be harmless or it is refused. It refuses to know HTTP.

mod svg;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use vetrina_protocol::id::{PictureId, SellerId};
use vetrina_protocol::rest::Picture;
use vetrina_protocol::time::UnixMs;

use crate::refused::{Refused, invalid};
use vetrina_store::blob::picture_path;
use vetrina_store::ledger::PictureRow;
use vetrina_store::{BlobStore, Ledger, StoreError};

/// An SVG larger than this is a photograph in disguise.
const SVG_BYTES_MAX: usize = 256 * 1024;

/// What a picture may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// A plain SVG.
    Svg,
}

impl Kind {
    /// Reads the kind from the first bytes.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::Webp)
        } else if svg::looks_like_one(bytes) {
            Some(Self::Svg)
        } else {
            None
        }
    }

    /// As HTTP names it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// Refuses what could do more than be looked at.
///
/// # Errors
/// `invalid`, saying what is not allowed.
pub fn check(kind: Kind, bytes: &[u8]) -> Result<(), Refused> {
    if kind != Kind::Svg {
        return Ok(());
    }
    if bytes.len() > SVG_BYTES_MAX {
        return Err(invalid("body", "an SVG may have at most 256 KiB"));
    }
    svg::check(bytes).map_err(|why| invalid("body", format!("this SVG is refused: {why}")))
}

/// Checks and keeps a picture.
///
/// # Errors
/// `invalid` for an SVG that could do more than draw; or a store does not answer.
pub async fn keep(
    ledger: &dyn Ledger,
    blobs: &dyn BlobStore,
    now: UnixMs,
    seller: SellerId,
    kind: Kind,
    bytes: Bytes,
) -> Result<Picture, StoreError> {
    check(kind, &bytes)?;
    let row = PictureRow {
        id: id_of(seller, &bytes),
        seller,
        content_type: kind.content_type().to_owned(),
        bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        created_at: now,
    };
    let id = row.id;
    // Bytes first: a row without bytes would be a broken picture, bytes without a row only room.
    blobs.put(id, bytes).await?;
    ledger.put_picture(row).await?;
    Ok(Picture {
        id,
        url: picture_path(id),
    })
}

/// The id follows from seller and bytes, so a repeated upload is the same picture, and nobody can
/// put other bytes under an id.
fn id_of(seller: SellerId, bytes: &[u8]) -> PictureId {
    let mut hash = Sha256::new();
    hash.update(seller.0.to_be_bytes());
    hash.update(bytes);
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    // Version 8 (RFC 9562): our own scheme.
    id[6] = (id[6] & 0x0f) | 0x80;
    id[8] = (id[8] & 0x3f) | 0x80;
    PictureId(u128::from_be_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_from_the_bytes() {
        assert_eq!(Kind::sniff(b"\x89PNG\r\n\x1a\n...."), Some(Kind::Png));
        assert_eq!(Kind::sniff(b"\xff\xd8\xff\xe0"), Some(Kind::Jpeg));
        assert_eq!(Kind::sniff(b"RIFF\0\0\0\0WEBPVP8 "), Some(Kind::Webp));
        assert_eq!(
            Kind::sniff(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            Some(Kind::Svg)
        );
        for other in [
            &b"GIF89a"[..],
            b"<html>",
            b"",
            b"RIFF\0\0\0\0WAVE",
            b"%PDF-1.7",
        ] {
            assert_eq!(Kind::sniff(other), None);
        }
    }

    #[test]
    fn an_id_follows_from_seller_and_bytes() {
        let id = id_of(SellerId(1), b"picture");
        assert_eq!(id, id_of(SellerId(1), b"picture"));
        assert_ne!(id, id_of(SellerId(2), b"picture"));
        assert_ne!(id, id_of(SellerId(1), b"other"));
        assert_eq!(id.to_string().as_bytes()[14], b'8');
    }
}
