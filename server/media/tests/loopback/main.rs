//! The engine from outside: real clients over loopback UDP publish, watch, lose packets, lie and
//! attack. Nothing here knows the engine's insides.

mod client;
mod cost;
mod hostile;
mod sessions;

use std::time::{Duration, Instant};

use client::{AUDIO, Client, DEADLINE, Habits, OPUS, RTX, VIDEO, VP8, frame, sound, split};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtc_rtp::packet::Packet;
use rtc_shared::marshal::Marshal;
use vetrina_media::{Answer, BroadcastId, BroadcastStatus, Media, MediaConfig, Phase};

const SHOW: BroadcastId = BroadcastId(7);

fn start() -> Media {
    let config = MediaConfig {
        udp_bind: ([127, 0, 0, 1], 0).into(),
        ..MediaConfig::default()
    };
    Media::start(config).expect("a free port")
}

/// Connects a client as its habits say.
async fn join(media: &Media, habits: Habits) -> (Client, Answer) {
    let (mut client, answer) = begin(media, habits).await;
    assert!(client.pump(Client::is_connected), "connected in time");
    (client, answer)
}

async fn begin(media: &Media, habits: Habits) -> (Client, Answer) {
    let mut client = Client::new(media.local_addr(), habits);
    let offer = client.offer();
    let answer = if client.habits.publishes {
        media.publish(SHOW, &offer).await
    } else {
        media.subscribe(SHOW, &offer).await
    };
    let answer = answer.expect("accepted");
    client.take_answer(&answer.sdp);
    (client, answer)
}

/// Waits until the broadcast's status is as wanted.
async fn reach(media: &Media, wanted: impl FnMut(&BroadcastStatus) -> bool) -> BroadcastStatus {
    let mut status = media.watch(SHOW).expect("known");
    let reached = tokio::time::timeout(DEADLINE, status.wait_for(wanted)).await;
    *reached.expect("in time").expect("followed")
}

async fn live(media: &Media, publisher: &mut Client, first: &Packet) {
    publisher.send(first);
    reach(media, |status| {
        status.phase == Phase::Live && status.first_frame.is_some()
    })
    .await;
}

fn numbers(packets: &[&Packet]) -> Vec<u16> {
    packets
        .iter()
        .map(|packet| packet.header.sequence_number)
        .collect()
}

fn nack(source: u32, asked: &[u16]) -> Vec<u8> {
    let mut compound = ReceiverReport::default().marshal().expect("valid").to_vec();
    let nacks = nack_pairs_from_sequence_numbers(asked);
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: source,
        nacks,
    };
    compound.extend_from_slice(&nack.marshal().expect("valid"));
    compound
}

fn pli(source: u32) -> Vec<u8> {
    let mut compound = ReceiverReport::default().marshal().expect("valid").to_vec();
    let pli = PictureLossIndication {
        sender_ssrc: 1,
        media_ssrc: source,
    };
    compound.extend_from_slice(&pli.marshal().expect("valid"));
    compound
}

/// Looks again and again, until the deadline.
async fn poll(mut reached: impl FnMut() -> bool) {
    let mut again = tokio::time::interval(Duration::from_millis(10));
    let waited = tokio::time::timeout(DEADLINE, async {
        while !reached() {
            again.tick().await;
        }
    });
    waited.await.expect("in time");
}

#[tokio::test]
async fn what_is_published_is_seen_across_both_wrap_arounds() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    let (sequence, timestamp) = (65_530_u16, u32::MAX - 20_000);
    live(&media, &mut publisher, &frame(sequence, timestamp, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    for step in 1..60_u16 {
        let at = timestamp.wrapping_add(u32::from(step) * 3_000);
        publisher.send(&frame(sequence.wrapping_add(step), at, false));
        publisher.send(&sound(step, u32::from(step) * 960));
    }
    assert!(
        viewer.pump(|viewer| viewer.media.len() == 119),
        "{}",
        viewer.media.len()
    );
    let video = viewer.video();
    let (first, base) = (video[0].header.sequence_number, video[0].header.timestamp);
    for (step, packet) in video.iter().enumerate() {
        let step = step as u16;
        let sent = frame(
            sequence.wrapping_add(step),
            timestamp.wrapping_add(u32::from(step) * 3_000),
            step == 0,
        );
        assert_eq!(packet.payload, sent.payload);
        assert!(packet.header.marker);
        assert_eq!(packet.header.sequence_number, first + step);
        assert_eq!(
            packet.header.timestamp,
            base.wrapping_add(u32::from(step) * 3_000)
        );
    }
    let newest = media.newest_frame(SHOW).expect("frames came");
    assert_eq!(
        newest.rtp_timestamp(),
        video[59].header.timestamp,
        "media time is on the wire"
    );
    let first_frame = media.watch(SHOW).expect("known").borrow().first_frame;
    assert_eq!(first_frame.map(|time| newest.0 - time.0), Some(59 * 3_000));
    let sounds: Vec<_> = viewer
        .media
        .iter()
        .filter(|p| p.header.payload_type == OPUS)
        .collect();
    assert_eq!(sounds.len(), 59);
    assert!(
        sounds
            .windows(2)
            .all(|two| two[1].header.timestamp - two[0].header.timestamp == 960)
    );
}

#[tokio::test]
async fn clients_with_the_older_cipher_are_served_too() {
    let media = start();
    let profiles = vec![SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80];
    let (mut publisher, _) = join(
        &media,
        Habits {
            profiles: profiles.clone(),
            ..Habits::publisher()
        },
    )
    .await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(
        &media,
        Habits {
            profiles,
            ..Habits::viewer()
        },
    )
    .await;
    publisher.send(&frame(2, 3_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 2));
    assert_eq!(viewer.video()[1].payload, frame(2, 3_000, false).payload);
}

#[tokio::test]
async fn who_joins_in_the_middle_begins_with_the_last_keyframe() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    for step in 2..20_u16 {
        publisher.send(&frame(step, u32::from(step) * 3_000, step == 10));
    }
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    assert!(
        viewer.pump(|viewer| viewer.video().len() == 10),
        "{}",
        viewer.video().len()
    );
    assert_eq!(viewer.video()[0].payload, frame(10, 30_000, true).payload);
    assert_eq!(viewer.video()[9].payload, frame(19, 57_000, false).payload);
}

#[tokio::test]
async fn a_nack_is_answered_by_a_retransmission_stream() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    for step in 2..10_u16 {
        publisher.send(&frame(step, u32::from(step) * 3_000, false));
    }
    assert!(viewer.pump(|viewer| viewer.video().len() == 9));
    let (asked, source) = (viewer.video()[4].clone(), viewer.video()[4].header.ssrc);
    viewer.send_control(&nack(source, &[asked.header.sequence_number]));
    let repaired = |viewer: &Client| viewer.media.iter().any(|p| p.header.payload_type == RTX);
    assert!(viewer.pump(repaired));
    let repair = viewer.media.last().expect("received");
    assert_ne!(repair.header.ssrc, source);
    assert_eq!(repair.header.timestamp, asked.header.timestamp);
    assert_eq!(
        repair.payload[..2],
        asked.header.sequence_number.to_be_bytes()
    );
    assert_eq!(repair.payload[2..], asked.payload);
}

#[tokio::test]
async fn without_a_retransmission_stream_the_same_ciphertext_comes_again() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(
        &media,
        Habits {
            rtx: false,
            ..Habits::viewer()
        },
    )
    .await;
    publisher.send(&frame(2, 3_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 2));
    let (asked, source) = (
        viewer.video()[1].header.sequence_number,
        viewer.video()[1].header.ssrc,
    );
    viewer.send_control(&nack(source, &[asked]));
    assert!(viewer.pump(|viewer| viewer.sealed.len() == 3));
    assert_eq!(viewer.sealed[2], viewer.sealed[1]);
}

#[tokio::test]
async fn a_lost_packet_is_asked_of_the_publisher_and_finds_its_place() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    for step in [2, 4, 5] {
        publisher.send(&frame(step, u32::from(step) * 3_000, false));
    }
    assert!(
        publisher.pump(|publisher| publisher.count_control(205, Some(1)) > 0),
        "a NACK"
    );
    publisher.send(&frame(3, 9_000, false));
    publisher.send(&frame(3, 9_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 5));
    viewer.listen(Duration::from_millis(50));
    let order = numbers(&viewer.video());
    let first = order[0];
    assert_eq!(
        order,
        [0, 1, 3, 4, 2].map(|step| first + step),
        "late, in its place, once"
    );
}

#[tokio::test]
async fn keyframe_requests_are_merged() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    assert!(viewer.pump(|viewer| viewer.video().len() == 1));
    let source = viewer.video()[0].header.ssrc;
    let begun = Instant::now();
    let mut asked = 0_u64;
    while begun.elapsed() < Duration::from_millis(1_500) {
        viewer.send_control(&pli(source));
        asked += 1;
        viewer.listen(Duration::from_millis(2));
        publisher.listen(Duration::from_millis(2));
    }
    let (requests, seconds) = (
        publisher.count_control(206, Some(1)),
        begun.elapsed().as_secs(),
    );
    let allowed = 1..=seconds as usize + 1;
    assert!(
        allowed.contains(&requests),
        "{requests} requests in {seconds} s"
    );
    // Figures are up to a second old. The viewer asked far oftener than the publisher was asked.
    assert!(asked > 2 * requests as u64, "{asked} asked");
    poll(|| media.broadcast_stats(SHOW).expect("known").plis_received > requests as u64).await;
}

#[tokio::test]
async fn a_second_publisher_takes_over_and_viewers_stay() {
    let media = start();
    let (mut first, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut first, &frame(100, 50_000, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    first.send(&frame(101, 53_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 2));
    let (mut second, answer) = join(&media, Habits::publisher()).await;
    first.send(&frame(102, 56_000, false));
    assert!(
        viewer.pump(|viewer| viewer.video().len() == 3),
        "until the second sends"
    );
    second.send(&frame(40_000, 4_000_000_000, true));
    second.send(&frame(40_001, 4_000_003_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 5));
    let order = numbers(&viewer.video());
    assert!(
        order.windows(2).all(|two| two[1] == two[0] + 1),
        "{order:?}"
    );
    let times: Vec<u32> = viewer.video().iter().map(|p| p.header.timestamp).collect();
    assert!(
        times
            .windows(2)
            .all(|two| two[1].wrapping_sub(two[0]).cast_signed() > 0),
        "{times:?}"
    );
    assert_eq!(times[4].wrapping_sub(times[3]), 3_000);
    assert!(first.pump(|first| first.closed), "the first is told");
    let status = reach(&media, |status| status.publisher == Some(answer.session)).await;
    assert_eq!(status.phase, Phase::Live);
    first.send(&frame(103, 59_000, false));
    viewer.listen(Duration::from_millis(50));
    assert_eq!(viewer.video().len(), 5, "the first is heard no more");
}

#[tokio::test]
async fn audio_and_video_are_reported_on_one_clock() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 90_000, true)).await;
    publisher.send(&sound(1, 48_960));
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    // At one moment of the publisher's clock video is at 1.5 s and audio at 1 s.
    for (source, rtp) in [(VIDEO, 135_000_u32), (AUDIO, 48_000)] {
        let mut report = vec![0x80, 200, 0, 6];
        report.extend_from_slice(&source.to_be_bytes());
        report.extend_from_slice(&(3_900_000_000_u64 << 32).to_be_bytes());
        report.extend_from_slice(&rtp.to_be_bytes());
        report.extend_from_slice(&[0; 8]);
        publisher.send_control(&report);
    }
    for step in 2..40_u16 {
        publisher.send(&frame(step, 90_000 + u32::from(step) * 3_000, false));
        publisher.send(&sound(step, 48_000 + u32::from(step) * 960));
    }
    assert!(viewer.pump(|viewer| viewer.count_control(200, None) >= 2));
    let source_of = |pt: u8| {
        let packet = viewer
            .media
            .iter()
            .find(|p| p.header.payload_type == pt)
            .expect("seen");
        (
            packet.header.ssrc,
            packet.header.timestamp,
            packet.payload.clone(),
        )
    };
    let word = |bytes: &[u8], at: usize| {
        u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    };
    let reported = |ssrc: u32| {
        let reports = viewer.control.iter().flat_map(|compound| split(compound));
        let report = reports
            .filter(|p| p[1] == 200)
            .find(|p| word(p, 4) == ssrc)
            .expect("came");
        let ntp = (u64::from(word(report, 8)) << 32) | u64::from(word(report, 12));
        (ntp, word(report, 16))
    };
    let (video, video_base, body) = source_of(VP8);
    assert_eq!(body, frame(1, 90_000, true).payload);
    let (audio, audio_first, body) = source_of(OPUS);
    let audio_number: u32 = String::from_utf8_lossy(&body)
        .trim_start_matches("sound ")
        .parse()
        .expect("numbered");
    let audio_base = audio_first.wrapping_sub(audio_number * 960);
    let ((video_ntp, video_rtp), (audio_ntp, audio_rtp)) = (reported(video), reported(audio));
    let apart = (audio_ntp.wrapping_sub(video_ntp).cast_signed() as f64) / 4_294_967_296.0;
    let seen = f64::from(video_rtp.wrapping_sub(video_base)) / 90_000.0 + 1.0;
    let heard = f64::from(audio_rtp.wrapping_sub(audio_base)) / 48_000.0 + 1.0;
    let drift = (seen - 0.5) - (heard - apart);
    assert!(
        drift.abs() < 0.002,
        "lips are {drift} s off: {seen} seen, {heard} heard"
    );
}
