//! What must hold for every frame that a client may send, whatever is in it: no panic, bounded
//! memory, and what was understood means the same when it is written down and
//! read again, in either encoding. The code under test is the server's own entry, `read_frame`.

use peak_alloc::PeakAlloc;
use vetrina_protocol::MESSAGES_PER_FRAME_MAX;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::reading::read_frame;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most small values that a frame may have are as much in memory; more is for long ones.
const VALUES_BYTES_MAX: usize = 4 << 20;
const BYTES_PER_BYTE: usize = 32;

/// The first frame of a session: a `Hello`, if it is one, and what came with it.
pub fn hello(encoding: Encoding, bytes: &[u8]) {
    let messages = read(encoding, bytes);
    let Some(hello @ ClientMessage::Hello { token, .. }) = messages.first() else {
        return;
    };
    assert!(
        token.len() <= bytes.len(),
        "longer than the frame it was in"
    );
    assert_eq!((hello.id(), hello.key()), (None, None));
    reads_back(hello);
}

/// Every other frame: commands.
pub fn commands(encoding: Encoding, bytes: &[u8]) {
    for mut message in read(encoding, bytes) {
        reads_back(&message);
        // What retries are compared by.
        let id = message.id();
        message.set_id(0);
        assert_eq!(message.id(), id.map(|_| 0));
        reads_back(&message);
    }
}

/// Reads a frame; gives what could be read of it.
fn read(encoding: Encoding, bytes: &[u8]) -> Vec<ClientMessage> {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let frame = read_frame(encoding, bytes);
    let used = MEMORY.peak_usage().saturating_sub(before);
    let most = VALUES_BYTES_MAX + bytes.len() * BYTES_PER_BYTE;
    assert!(used <= most, "{used} bytes for a frame of {}", bytes.len());
    let messages = frame.unwrap_or_default();
    assert!(messages.len() <= MESSAGES_PER_FRAME_MAX);
    messages.into_iter().flatten().collect()
}

fn reads_back(message: &ClientMessage) {
    for encoding in [Encoding::MessagePack, Encoding::Json] {
        let bytes = encoding.encode(std::slice::from_ref(message));
        let again = read_frame(encoding, &bytes);
        assert_eq!(again, Ok(vec![Ok(message.clone())]), "in {encoding:?}");
    }
}
