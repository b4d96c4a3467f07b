//! Orders under every input in every phase, in any order, as often as it comes.

use super::*;
use proptest::prelude::*;

const PAY_BY: UnixMs = UnixMs(1_000);

const INPUTS: [OrderInput; 12] = [
    OrderInput::ProviderDeclined,
    OrderInput::ProviderSucceeded { at: UnixMs(900) },
    OrderInput::ProviderCanceled,
    OrderInput::DeadlinePassed { now: UnixMs(999) },
    OrderInput::DeadlinePassed { now: PAY_BY },
    OrderInput::CancelAsked,
    OrderInput::Reclaimed,
    OrderInput::ReclaimRefused,
    OrderInput::RefundAsked { restock: true },
    OrderInput::RefundAsked { restock: false },
    OrderInput::RefundConfirmed,
    OrderInput::Resume,
];

fn run(inputs: &[OrderInput]) -> (OrderPhase, Vec<OrderOutput>) {
    let mut life = OrderLife::new(PAY_BY);
    let mut outputs = Vec::new();
    for input in inputs {
        outputs.extend(life.apply(*input).unwrap().outputs);
    }
    (life.phase, outputs)
}

#[test]
fn a_decline_may_be_retried() {
    let at = UnixMs(5);
    let inputs = [
        OrderInput::ProviderDeclined,
        OrderInput::ProviderSucceeded { at },
    ];
    assert_eq!(
        run(&inputs),
        (OrderPhase::Paid, vec![OrderOutput::MarkPaid])
    );
}

#[test]
fn expires_only_when_the_provider_says_so() {
    let deadline = OrderInput::DeadlinePassed { now: PAY_BY };
    let (phase, outputs) = run(&[deadline, deadline]);
    assert_eq!(phase.state(), OrderState::Pending);
    assert_eq!(outputs, [OrderOutput::CancelIntent]);
    let (phase, outputs) = run(&[deadline, OrderInput::ProviderCanceled]);
    assert_eq!(phase, OrderPhase::Expired);
    assert_eq!(outputs[1], OrderOutput::ReleaseUnits { paid: false });
    let paid = OrderInput::ProviderSucceeded { at: PAY_BY };
    assert_eq!(
        run(&[deadline, paid]).0,
        OrderPhase::Paid,
        "the money decides"
    );
}

#[test]
fn a_late_payment_is_served_or_refunded_once() {
    let late = OrderInput::ProviderSucceeded { at: UnixMs(2_000) };
    let expired = [
        OrderInput::DeadlinePassed { now: PAY_BY },
        OrderInput::ProviderCanceled,
    ];
    let refused = [
        late,
        OrderInput::ReclaimRefused,
        late,
        OrderInput::ReclaimRefused,
        late,
    ];
    let (phase, outputs) = run(&[&expired[..], &refused[..]].concat());
    assert_eq!(phase, OrderPhase::Refunding);
    assert_eq!(
        outputs
            .iter()
            .filter(|asked| **asked == OrderOutput::Refund)
            .count(),
        1
    );
    let served = [
        late,
        late,
        OrderInput::Reclaimed,
        OrderInput::ReclaimRefused,
    ];
    let (phase, outputs) = run(&[&expired[..], &served[..]].concat());
    assert_eq!(phase, OrderPhase::Paid);
    assert_eq!(outputs.last(), Some(&OrderOutput::MarkPaid));
}

#[test]
fn given_up_and_paid_after_all_is_refunded() {
    let late = OrderInput::ProviderSucceeded { at: UnixMs(2_000) };
    let (phase, outputs) = run(&[OrderInput::CancelAsked, OrderInput::ProviderCanceled, late]);
    assert_eq!(phase, OrderPhase::Refunding);
    assert_eq!(outputs.last(), Some(&OrderOutput::Refund));
}

#[test]
fn resume_says_again_what_is_waited_for() {
    let (_, outputs) = run(&[OrderInput::CancelAsked, OrderInput::Resume]);
    assert_eq!(outputs, [OrderOutput::CancelIntent; 2]);
    assert_eq!(run(&[OrderInput::Resume]).1, []);
}

#[test]
fn every_input_twice_has_no_second_effect_in_any_phase() {
    for phase in OrderPhase::ALL {
        for input in INPUTS
            .into_iter()
            .filter(|input| *input != OrderInput::Resume)
        {
            let mut life = OrderLife {
                phase,
                ..OrderLife::new(PAY_BY)
            };
            let Ok(_) = life.apply(input) else {
                assert_eq!(life.phase, phase, "a refusal changes nothing");
                continue;
            };
            let before = life;
            if let Ok(again) = life.apply(input) {
                assert!(
                    !again.changed && again.outputs.is_empty(),
                    "{phase:?} {input:?}"
                );
            }
            assert_eq!(life, before);
        }
    }
}

#[test]
fn names_come_back() {
    for phase in OrderPhase::ALL {
        assert_eq!(OrderPhase::from_name(phase.as_str()), Some(phase));
    }
    assert_eq!(OrderPhase::from_name("lost"), None);
}

proptest! {
    #[test]
    fn units_and_money_balance(picks in prop::collection::vec(0..INPUTS.len(), 0..60)) {
        let mut life = OrderLife::new(PAY_BY);
        let (mut claimed, mut paid, mut refunds) = (1, 0, 0);
        for pick in picks {
            let input = INPUTS[pick];
            // The ledger's word on a late payment comes only when asked for.
            let asked = life.phase == OrderPhase::Reclaiming;
            let word = matches!(input, OrderInput::Reclaimed | OrderInput::ReclaimRefused);
            if word && !asked {
                continue;
            }
            let Ok(step) = life.apply(input) else { continue };
            if input == OrderInput::Reclaimed {
                claimed += 1;
            }
            for output in step.outputs {
                match output {
                    OrderOutput::MarkPaid => paid += 1,
                    OrderOutput::ReleaseUnits { paid: was_paid } => {
                        claimed -= 1;
                        paid -= i32::from(was_paid);
                    }
                    OrderOutput::Refund if input != OrderInput::Resume => refunds += 1,
                    OrderOutput::Refund | OrderOutput::CancelIntent | OrderOutput::Reclaim => {}
                }
            }
            prop_assert!((0..=1).contains(&claimed) && (0..=claimed).contains(&paid));
            prop_assert!(refunds <= 1);
            if life.phase != OrderPhase::Refunded {
                prop_assert_eq!(life.phase.has_units(), claimed == 1);
            }
            prop_assert_eq!(
                life.phase.state() == OrderState::Paid,
                paid == 1 && refunds == 0
            );
        }
    }
}
