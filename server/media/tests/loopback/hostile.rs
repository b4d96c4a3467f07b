//! Clients that lie, skip steps, or are not clients at all.

use std::net::UdpSocket;

use super::*;

/// Sends from an address that no ICE check has proven.
fn stranger() -> UdpSocket {
    UdpSocket::bind(("127.0.0.1", 0)).expect("a free port")
}

/// Waits until the engine has dropped at least so many datagrams.
async fn dropped(media: &Media, at_least: u64) {
    poll(|| media.stats().datagrams_rejected >= at_least).await;
}

/// Waits until a session is gone.
async fn gone(media: &Media, answer: &Answer) {
    poll(|| media.session(answer.session).is_none()).await;
}

/// A first flight as OpenSSL sends it, shortened: enough to be taken for DTLS.
fn client_hello() -> Vec<u8> {
    let mut hello = vec![22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60];
    hello.extend_from_slice(&[1, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 48, 254, 253]);
    hello.resize(hello.len() + 46, 7);
    hello
}

#[tokio::test]
async fn a_certificate_that_is_not_the_offered_one_ends_the_session() {
    let media = start();
    let (mut liar, answer) = begin(
        &media,
        Habits {
            lies: true,
            ..Habits::publisher()
        },
    )
    .await;
    liar.listen(Duration::from_millis(300));
    gone(&media, &answer).await;
    assert!(liar.closed || liar.failed, "and is told");
    assert_eq!(
        media.watch(SHOW).expect("known").borrow().phase,
        Phase::Idle
    );
}

#[tokio::test]
async fn a_client_that_does_not_agree_on_srtp_is_sent_away() {
    let media = start();
    let (mut client, answer) = begin(
        &media,
        Habits {
            profiles: Vec::new(),
            ..Habits::publisher()
        },
    )
    .await;
    client.listen(Duration::from_millis(300));
    gone(&media, &answer).await;
}

#[tokio::test]
async fn a_thousand_forged_first_flights_harm_nobody() {
    let media = start();
    let (mut publisher, answer) = begin(&media, Habits::publisher()).await;
    let stranger = stranger();
    for _ in 0..1_000 {
        stranger
            .send_to(&client_hello(), media.local_addr())
            .expect("sent");
    }
    assert!(publisher.pump(Client::is_connected));
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    dropped(&media, 1_000).await;
    assert!(media.session(answer.session).is_some());
    let mut buffer = [0; 2_048];
    stranger.set_nonblocking(true).expect("possible");
    assert!(
        stranger.recv_from(&mut buffer).is_err(),
        "and gets no answer"
    );
}

#[tokio::test]
async fn media_from_an_unproven_address_is_not_heard_even_with_the_right_keys() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    assert!(viewer.pump(|viewer| viewer.video().len() == 1));
    let sealed = publisher.seal(&frame(2, 3_000, false));
    stranger()
        .send_to(&sealed, media.local_addr())
        .expect("sent");
    dropped(&media, 1).await;
    publisher.send(&frame(3, 6_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 2));
    assert_eq!(viewer.video()[1].payload, frame(3, 6_000, false).payload);
}

#[tokio::test]
async fn a_viewer_cannot_send_media_into_the_broadcast() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    let (mut intruder, _) = join(&media, Habits::viewer()).await;
    assert!(viewer.pump(|viewer| viewer.video().len() == 1));
    let before = media.stats().datagrams_rejected;
    intruder.send(&frame(2, 3_000, true));
    dropped(&media, before + 1).await;
    viewer.listen(Duration::from_millis(30));
    assert_eq!(viewer.video().len(), 1);
}

#[tokio::test]
async fn a_flood_of_retransmission_requests_is_bounded() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    for step in 2..20_u16 {
        publisher.send(&frame(step, u32::from(step) * 3_000, false));
    }
    assert!(viewer.pump(|viewer| viewer.video().len() == 19));
    let (all, source) = (numbers(&viewer.video()), viewer.video()[0].header.ssrc);
    let begun = Instant::now();
    for _ in 0..200 {
        viewer.send_control(&nack(source, &all));
        viewer.listen(Duration::from_millis(1));
    }
    viewer.listen(Duration::from_millis(100));
    let sent = viewer
        .media
        .iter()
        .filter(|p| p.header.payload_type == RTX)
        .count() as f64;
    let allowed = 512.0 * (1.0 + begun.elapsed().as_secs_f64());
    assert!(
        sent > 100.0 && sent <= allowed,
        "{sent} of 3,800 asked for, {allowed} allowed"
    );
    assert_eq!(
        publisher.count_control(205, Some(1)),
        0,
        "none reached the publisher"
    );
}

#[tokio::test]
async fn noise_is_dropped_and_harms_nobody() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    assert!(viewer.pump(|viewer| viewer.video().len() == 1));
    let stranger = stranger();
    let mut state = 0x2545_f491_u64;
    for round in 0..3_000_usize {
        let mut noise = vec![0_u8; round % 300];
        for byte in &mut noise {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        // A third each from a stranger, the publisher and the viewer: all kinds of first bytes.
        let kinds = [0, 1, 20, 22, 23, 128, 144, 200, 63, 255];
        if let Some(first) = noise.first_mut() {
            *first = kinds[round % kinds.len()];
        }
        let from = [&stranger, &publisher.socket, &viewer.socket][round % 3];
        from.send_to(&noise, media.local_addr()).expect("sent");
    }
    publisher.send(&frame(2, 3_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 2));
    assert!(!publisher.closed && !viewer.closed);
}
