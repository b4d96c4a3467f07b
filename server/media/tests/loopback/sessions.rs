//! The life of sessions: refusals, entity tags, ICE restart, closing, interruption, shutdown.

use vetrina_media::{Patched, Refused, SessionKind};

use super::*;

fn fragment(ufrag: &str, pwd: &str) -> String {
    format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
         a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n"
    )
}

const PWD: &str = "0123456789abcdef01234567";

#[tokio::test]
async fn without_a_publisher_there_is_nothing_to_see() {
    let media = start();
    let viewer = Client::new(media.local_addr(), Habits::viewer());
    assert_eq!(
        media.subscribe(SHOW, &viewer.offer()).await,
        Err(Refused::NotLive)
    );
    assert!(media.newest_frame(SHOW).is_none());
}

#[tokio::test]
async fn offers_that_cannot_be_served_are_refused_and_leave_nothing() {
    let media = start();
    let client = Client::new(media.local_addr(), Habits::publisher());
    let refused = media.publish(SHOW, "hello").await;
    assert!(
        matches!(refused, Err(Refused::MalformedOffer(_))),
        "{refused:?}"
    );
    let receiving = client.offer().replace("a=sendonly", "a=recvonly");
    let refused = media.publish(SHOW, &receiving).await;
    assert!(
        matches!(refused, Err(Refused::UnsupportedOffer(_))),
        "{refused:?}"
    );
    assert_eq!(media.stats().publishers, 0);
}

#[tokio::test]
async fn one_session_too_many_is_refused() {
    let config = MediaConfig {
        udp_bind: ([127, 0, 0, 1], 0).into(),
        sessions_max: 1,
        ..MediaConfig::default()
    };
    let media = Media::start(config).expect("a free port");
    let client = Client::new(media.local_addr(), Habits::publisher());
    let first = media
        .publish(SHOW, &client.offer())
        .await
        .expect("accepted");
    assert_eq!(
        media.publish(SHOW, &client.offer()).await,
        Err(Refused::Overloaded)
    );
    media.close(first.session).await.expect("closed");
    media
        .publish(SHOW, &client.offer())
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn sessions_can_be_looked_up_until_they_are_closed() {
    let media = start();
    let (mut publisher, answer) = join(&media, Habits::publisher()).await;
    let info = media.session(answer.session).expect("known");
    assert_eq!((info.broadcast, info.kind), (SHOW, SessionKind::Publisher));
    assert_eq!(info.etag, answer.etag);
    media.close(answer.session).await.expect("closed");
    assert!(
        publisher.pump(|publisher| publisher.closed),
        "DTLS says goodbye"
    );
    assert_eq!(
        media.close(answer.session).await,
        Err(Refused::UnknownSession)
    );
    assert!(media.session(answer.session).is_none());
}

#[tokio::test]
async fn a_patch_needs_the_current_entity_tag() {
    let media = start();
    let client = Client::new(media.local_addr(), Habits::publisher());
    let answer = media
        .publish(SHOW, &client.offer())
        .await
        .expect("accepted");
    let patch = |text: String, tag: Option<String>| {
        let (media, session) = (media.clone(), answer.session);
        async move { media.patch(session, &text, tag.as_deref()).await }
    };
    let trickle = fragment("client", PWD);
    assert_eq!(
        patch(trickle.clone(), None).await,
        Err(Refused::PreconditionRequired)
    );
    let stale = Some("\"older\"".to_owned());
    assert_eq!(patch(trickle.clone(), stale).await, Err(Refused::StaleTag));
    let current = Some(answer.etag.clone());
    assert_eq!(patch(trickle, current.clone()).await, Ok(Patched::Accepted));
    let refused = patch("hello".to_owned(), current.clone()).await;
    assert!(
        matches!(refused, Err(Refused::MalformedFragment(_))),
        "{refused:?}"
    );
    let weak = patch(fragment("other", "short"), Some("*".to_owned())).await;
    assert!(
        matches!(weak, Err(Refused::UnsupportedPatch(_))),
        "{weak:?}"
    );
    let again = patch(fragment("client", PWD), current).await;
    assert_eq!(again, Ok(Patched::Accepted), "the session is as before");
}

#[tokio::test]
async fn ice_restarts_while_media_goes_on() {
    let media = start();
    let (mut publisher, answer) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    for any in ["*", "\"*\""] {
        assert!(publisher.pump(|publisher| publisher.checks == publisher.asked));
        let restart = fragment(&format!("again{}", any.len()), PWD);
        let patched = media
            .patch(answer.session, &restart, Some(any))
            .await
            .expect("restarted");
        let Patched::Restarted { fragment, etag } = patched else {
            panic!("{patched:?}")
        };
        assert_ne!(etag, answer.etag);
        assert_eq!(media.session(answer.session).expect("known").etag, etag);
        assert!(fragment.contains("a=ice-lite\r\n") && fragment.contains("a=candidate:"));
        let (ufrag, pwd) = (
            client::line(&fragment, "a=ice-ufrag:"),
            client::line(&fragment, "a=ice-pwd:"),
        );
        assert_ne!(ufrag, publisher.ufrag);
        let stale = media
            .patch(answer.session, &restart, Some(&answer.etag))
            .await;
        assert_eq!(stale, Err(Refused::StaleTag));
        let before = publisher.checks;
        publisher.check();
        publisher.listen(Duration::from_millis(50));
        assert_eq!(
            publisher.checks, before,
            "the old credentials stopped working"
        );
        (publisher.ufrag, publisher.pwd) = (ufrag, pwd);
        publisher.asked = before;
        publisher.check();
        assert!(publisher.pump(|publisher| publisher.checks > before));
    }
    publisher.send(&frame(2, 3_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 2));
}

#[tokio::test]
async fn a_client_that_moves_to_another_address_is_followed() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, _) = join(&media, Habits::viewer()).await;
    assert!(viewer.pump(|viewer| viewer.video().len() == 1));
    let elsewhere = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
    elsewhere
        .set_read_timeout(Some(Duration::from_millis(2)))
        .expect("a positive time");
    viewer.socket = elsewhere;
    let before = viewer.checks;
    viewer.check();
    assert!(viewer.pump(|viewer| viewer.checks > before));
    publisher.send(&frame(2, 3_000, false));
    assert!(viewer.pump(|viewer| viewer.video().len() == 2));
}

#[tokio::test]
async fn answers_leave_from_the_address_that_was_asked() {
    let config = MediaConfig {
        udp_bind: ([0, 0, 0, 0], 0).into(),
        public_ips: vec![[127, 0, 0, 2].into()],
        ..MediaConfig::default()
    };
    let media = Media::start(config).expect("a free port");
    let server = ([127, 0, 0, 2], media.local_addr().port()).into();
    let mut publisher = Client::new(server, Habits::publisher());
    // A connected socket hears this address only; left alone, the kernel answers from 127.0.0.1.
    publisher.socket.connect(server).expect("possible");
    let answer = media
        .publish(SHOW, &publisher.offer())
        .await
        .expect("accepted");
    assert!(answer.sdp.contains(" 127.0.0.2 "));
    publisher.take_answer(&answer.sdp);
    assert!(publisher.pump(Client::is_connected));
}

#[tokio::test]
async fn silence_is_an_interruption_and_its_end_is_told() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    let begun = Instant::now();
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let before = media.newest_frame(SHOW).expect("a frame came");
    reach(&media, |status| status.phase == Phase::Interrupted).await;
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "not at the first pause"
    );
    publisher.send(&frame(2, 180_000, true));
    reach(&media, |status| status.phase == Phase::Live).await;
    assert!(media.newest_frame(SHOW).expect("a frame came") > before);
}

#[tokio::test]
async fn ending_a_broadcast_ends_everyone_in_it() {
    let media = start();
    let (mut publisher, published) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (mut viewer, seen) = join(&media, Habits::viewer()).await;
    reach(&media, |status| status.subscribers == 1).await;
    media.end(SHOW).await.expect("ended");
    assert!(viewer.pump(|viewer| viewer.closed) && publisher.pump(|publisher| publisher.closed));
    assert!(media.session(published.session).is_none() && media.session(seen.session).is_none());
    assert_eq!(
        *media.watch(SHOW).expect("known").borrow(),
        BroadcastStatus::default()
    );
}

#[tokio::test]
async fn stopping_says_goodbye_and_refuses_what_comes_later() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    media.shutdown().await;
    assert!(publisher.pump(|publisher| publisher.closed));
    let offer = publisher.offer();
    assert_eq!(media.publish(SHOW, &offer).await, Err(Refused::Stopped));
    media.shutdown().await;
}

#[tokio::test]
async fn the_last_handle_takes_the_thread_along() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    drop(media);
    assert!(publisher.pump(|publisher| publisher.closed));
}
