//! Pictures: bytes under an id, written once, never changed. [`FolderBlobs`] keeps them in a
//! folder; an S3-compatible store can stand behind the same trait. It refuses to know what is drawn
//! on them and who may see them; content type and owner are rows of the ledger.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use vetrina_protocol::id::PictureId;

use super::StoreError;

/// Largest picture, bytes.
pub const PICTURE_BYTES_MAX: usize = 5 * 1024 * 1024;

/// The path on this server under which a picture is served; what `picture_url` and `poster_url`
/// say.
#[must_use]
pub fn picture_path(picture: PictureId) -> String {
    format!("/v1/pictures/{picture}")
}

/// A place for bytes.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Keeps the bytes for good; they are on disk when it returns. Repeating it is harmless.
    async fn put(&self, id: PictureId, bytes: Bytes) -> Result<(), StoreError>;

    /// The bytes; `None` when there are none.
    async fn get(&self, id: PictureId) -> Result<Option<Bytes>, StoreError>;

    /// Forgets them. Repeating it is harmless.
    async fn delete(&self, id: PictureId) -> Result<(), StoreError>;
}

/// One file per picture, in 256 sub-folders.
#[derive(Debug, Clone)]
pub struct FolderBlobs {
    root: PathBuf,
}

impl FolderBlobs {
    /// Uses `root`, making it if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> std::io::Result<Self> {
        let root = root.into();
        std::fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    fn path(&self, id: PictureId) -> PathBuf {
        // The low byte: ids of version 7 start with the time, which would fill one folder.
        self.root
            .join(format!("{:02x}", id.0 & 0xff))
            .join(id.to_string())
    }
}

#[async_trait]
impl BlobStore for FolderBlobs {
    async fn put(&self, id: PictureId, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(id);
        blocking(move || write_whole(&path, &bytes)).await
    }

    async fn get(&self, id: PictureId) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(id);
        blocking(move || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn delete(&self, id: PictureId) -> Result<(), StoreError> {
        let path = self.path(id);
        blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

/// The whole file or none of it: written beside, synced, renamed, and the folder synced.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let beside = path.with_extension(format!("{:016x}.part", rand::random::<u64>()));
    let written = std::fs::File::create_new(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path))
        .and_then(|()| std::fs::File::open(folder)?.sync_all());
    if written.is_err() {
        // The first error is the one to tell; a part that stays is only lost room.
        drop(std::fs::remove_file(&beside));
    }
    written
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let outcome = tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other);
    outcome.and_then(|done| done).map_err(|error| {
        tracing::error!(%error, "the picture folder failed");
        StoreError::Unavailable(error.to_string())
    })
}
