//! RTCP against another implementation, in both directions, and against nonsense.

use bytes::Bytes;
use proptest::prelude::*;
use rtc_rtcp::packet::unmarshal;
use rtc_rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport as TheirSenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    NackPair, TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtc_shared::marshal::Marshal;

use super::*;

fn statements(compound: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    read(compound, |statement| all.push(format!("{statement:?}")));
    all
}

#[test]
fn what_others_write_is_read() {
    let report = TheirSenderReport {
        ssrc: 7,
        ntp_time: 0x0102_0304_0506_0708,
        rtp_time: 99,
        packet_count: 1,
        octet_count: 2,
        reports: vec![ReceptionReport {
            ssrc: 5,
            fraction_lost: 64,
            total_lost: 3,
            last_sequence_number: 77,
            jitter: 8,
            last_sender_report: 9,
            delay: 10,
        }],
        ..TheirSenderReport::default()
    };
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: 5,
        nacks: nack_pairs_from_sequence_numbers(&[65_535, 0, 3, 40]),
    };
    let pli = PictureLossIndication {
        sender_ssrc: 1,
        media_ssrc: 5,
    };
    let fir = FullIntraRequest {
        sender_ssrc: 1,
        media_ssrc: 0,
        fir: vec![FirEntry {
            ssrc: 5,
            sequence_number: 1,
        }],
    };
    let mut compound = report.marshal().expect("valid").to_vec();
    compound.extend_from_slice(&nack.marshal().expect("valid"));
    compound.extend_from_slice(&pli.marshal().expect("valid"));
    compound.extend_from_slice(&fir.marshal().expect("valid"));
    let mut seen = 0;
    read(&compound, |statement| {
        seen += 1;
        match statement {
            Statement::SenderReport { source, ntp, rtp } => {
                assert_eq!((source, ntp, rtp), (7, 0x0102_0304_0506_0708, 99));
            }
            Statement::Reception(block) => {
                assert_eq!((block.source, block.fraction_lost, block.lost), (5, 64, 3));
                assert_eq!((block.last_report, block.delay), (9, 10));
            }
            Statement::Nack { source, pairs } => {
                assert_eq!(source, 5);
                assert_eq!(nacked(pairs).collect::<Vec<_>>(), [65_535, 0, 3, 40]);
            }
            Statement::PictureLoss { source } => assert_eq!(source, 5),
            Statement::FullIntra { entries } => assert_eq!(entries[..4], 5_u32.to_be_bytes()),
            Statement::ReferenceAnswer { .. } => panic!("none was written"),
        }
    });
    assert_eq!(seen, 5);
}

#[test]
fn what_is_written_others_read() {
    let reception = Reception {
        source: 5,
        fraction_lost: 1,
        lost: -2,
        ..Reception::default()
    };
    let mut compound = Compound::with_receptions(1, &[reception]);
    compound.nack(1, 5, &[10, 11, 26, 27, 65_535]);
    compound.picture_loss(1, 5);
    let mut bytes = Bytes::copy_from_slice(compound.as_bytes());
    let packets = unmarshal(&mut bytes).expect("well formed");
    let first = packets[0]
        .as_any()
        .downcast_ref::<ReceiverReport>()
        .expect("a report first");
    assert_eq!(first.reports[0].ssrc, 5);
    let nack = packets[1]
        .as_any()
        .downcast_ref::<TransportLayerNack>()
        .expect("then a NACK");
    let asked: Vec<u16> = nack.nacks.iter().flat_map(NackPair::packet_list).collect();
    assert_eq!(asked, [10, 11, 26, 27, 65_535]);
    assert!(
        packets[2]
            .as_any()
            .downcast_ref::<PictureLossIndication>()
            .is_some()
    );
}

#[test]
fn a_sender_report_with_a_description_is_a_valid_compound() {
    let mut compound = Compound::with_sender_report(SenderReport {
        source: 9,
        ntp: 1 << 40,
        rtp: 3,
        packets: 4,
        octets: 5,
    });
    compound.describe(9, "vetrina");
    let mut bytes = Bytes::copy_from_slice(compound.as_bytes());
    assert_eq!(unmarshal(&mut bytes).expect("well formed").len(), 2);
    assert_eq!(statements(compound.as_bytes()).len(), 1);
}

#[test]
fn a_negative_loss_survives() {
    let reception = Reception {
        source: 5,
        lost: -2,
        ..Reception::default()
    };
    let compound = Compound::with_receptions(1, &[reception]);
    read(compound.as_bytes(), |statement| {
        assert_eq!(statement, Statement::Reception(reception));
    });
}

#[test]
fn the_answer_to_a_reference_time_is_read() {
    let answer = [
        0x80, 207, 0, 5, 0, 0, 0, 1, 5, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4,
    ];
    read(&answer, |statement| {
        assert_eq!(statement, Statement::ReferenceAnswer { last: 3, delay: 4 });
    });
    assert_eq!(statements(&answer).len(), 1);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes, |statement| {
            if let Statement::Nack { pairs, .. } = statement {
                assert!(nacked(pairs).count() <= 17 * pairs.len() / 4);
            }
        });
    }

    #[test]
    fn any_mangled_compound_is_survived(
        flips in prop::collection::vec((0_usize..60, any::<u8>()), 1..9),
    ) {
        let mut compound = Compound::with_receptions(1, &[Reception::default()]);
        compound.nack(1, 5, &[1, 2, 3]);
        compound.reference_time(1, 99);
        let mut bytes = compound.as_bytes().to_vec();
        for (at, value) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        read(&bytes, |_| {});
    }
}
