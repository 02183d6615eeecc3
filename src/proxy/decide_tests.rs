//! The decision over its whole table: what must hold in every cell, and the cells that people look up.

use super::*;
use crate::a2a::Binding;

const V1_0: Dialect = Dialect::jsonrpc(Version::V1_0);
const WANTS: [Want; 3] = [Want::Wait, Want::AtOnce, Want::Stream];

/// Every situation there is: operations × wants × webhooks × dialects × abilities × kept × route.
fn every(mut check: impl FnMut(&Situation<'_>)) {
    let bools = [false, true];
    for operation in Operation::ALL {
        for want in WANTS {
            for requester in Dialect::ALL {
                for worker in Dialect::ALL {
                    for bits in 0..128u8 {
                        for observe in [Observe::Auto, Observe::Off] {
                            for delivery in [Delivery::Own, Delivery::Native] {
                                for (inline_push, kept) in
                                    bools.iter().flat_map(|a| bools.map(|b| (*a, b)))
                                {
                                    let on = |bit: u8| bits & (1 << bit) != 0;
                                    check(&Situation {
                                        operation,
                                        want,
                                        inline_push,
                                        requester,
                                        worker,
                                        can: Abilities {
                                            send: on(0),
                                            return_immediately: on(1),
                                            get: on(2),
                                            stream: on(3),
                                            push: on(4),
                                            // Of account for sends only, as the other is for lists.
                                            callback: on(6),
                                            list: on(6),
                                            subscribe: on(3),
                                            streams_first: false,
                                        },
                                        reachable: on(5),
                                        kept,
                                        observe,
                                        delivery,
                                        prefer: &[],
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn able(modes: &[Mode]) -> Abilities {
    Abilities {
        send: true,
        return_immediately: modes.contains(&Mode::Poll),
        get: modes.contains(&Mode::Poll),
        stream: modes.contains(&Mode::Stream),
        push: modes.contains(&Mode::Push),
        callback: modes.contains(&Mode::Callback),
        list: true,
        subscribe: modes.contains(&Mode::Stream),
        streams_first: false,
    }
}

fn sending(want: Want, modes: &[Mode]) -> Situation<'static> {
    Situation {
        operation: if want == Want::Stream {
            Operation::SendStreamingMessage
        } else {
            Operation::SendMessage
        },
        want,
        inline_push: false,
        requester: V1_0,
        worker: V1_0,
        can: able(modes),
        reachable: true,
        kept: false,
        observe: Observe::Auto,
        delivery: Delivery::Own,
        prefer: &[],
    }
}

fn first_way(situation: &Situation<'_>) -> Mode {
    match decide(situation) {
        Plan::Send(ways) => ways[0],
        plan => panic!("{plan:?}"),
    }
}

#[test]
fn nothing_passes_between_versions_that_differ_on_the_wire() {
    every(|situation| {
        if !situation.requester.same_wire(situation.worker) {
            assert_ne!(decide(situation), Plan::Pass, "{situation:?}");
        }
    });
}

#[test]
fn what_is_kept_here_is_answered_from_here() {
    every(|situation| {
        let asks_for_a_task = matches!(
            situation.operation,
            Operation::GetTask | Operation::CancelTask | Operation::SubscribeToTask
        );
        if situation.kept && asks_for_a_task {
            assert_eq!(decide(situation), Plan::Log, "{situation:?}");
        }
    });
}

#[test]
fn a_kept_task_is_never_continued_behind_the_sidecar_s_back() {
    every(|situation| {
        if situation.kept && situation.operation.sends() {
            assert!(matches!(decide(situation), Plan::Send(_)), "{situation:?}");
        }
    });
}

#[test]
fn a_send_always_has_a_way_and_no_way_twice() {
    every(|situation| {
        if let Plan::Send(ways) = decide(situation) {
            assert!(!ways.is_empty(), "{situation:?}");
            let mut once = ways.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), ways.len(), "{situation:?}");
        }
    });
}

#[test]
fn a_worker_is_asked_to_post_only_where_it_can_reach_the_sidecar() {
    every(|situation| {
        if let Plan::Send(ways) = decide(situation)
            && ways.contains(&Mode::Push)
        {
            assert!(situation.reachable && situation.can.push, "{situation:?}");
        }
    });
}

#[test]
fn nobody_waits_in_a_blocking_call_who_wants_an_answer_at_once_or_a_webhook() {
    every(|situation| {
        if let Plan::Send(ways) = decide(situation)
            && (situation.want != Want::Wait || situation.inline_push)
        {
            assert!(!ways.contains(&Mode::Blocking), "{situation:?}");
        }
    });
}

#[test]
fn with_own_delivery_no_webhook_ever_goes_to_the_worker() {
    every(|situation| {
        let about_push = matches!(
            situation.operation,
            Operation::CreateTaskPushNotificationConfig
                | Operation::GetTaskPushNotificationConfig
                | Operation::ListTaskPushNotificationConfigs
                | Operation::DeleteTaskPushNotificationConfig
        );
        let carries_push = situation.operation.sends() && situation.inline_push;
        if situation.delivery == Delivery::Own && (about_push || carries_push) {
            assert_ne!(decide(situation), Plan::Pass, "{situation:?}");
        }
    });
}

#[test]
fn an_unwatched_route_passes_what_the_worker_offers_by_itself() {
    every(|situation| {
        let native = match situation.want {
            Want::Wait => situation.can.send,
            Want::AtOnce => situation.can.send && situation.can.return_immediately,
            Want::Stream => situation.can.stream,
        };
        if situation.operation.sends()
            && situation.observe == Observe::Off
            && situation.requester.same_wire(situation.worker)
            && native
            && !situation.kept
            && !situation.inline_push
        {
            assert_eq!(decide(situation), Plan::Pass, "{situation:?}");
        }
    });
}

#[test]
fn the_same_bytes_mean_the_same_in_0_2_and_0_3_only() {
    for one in Dialect::ALL {
        for other in Dialect::ALL {
            let old = |dialect| {
                [Version::V0_2, Version::V0_3]
                    .map(Dialect::jsonrpc)
                    .contains(&dialect)
            };
            // Over gRPC nothing is ever passed as it is.
            let same = (one == other && one.binding != Binding::Grpc) || (old(one) && old(other));
            assert_eq!(one.same_wire(other), same, "{one} {other}");
        }
    }
}

#[test]
fn lists_come_from_workers_that_have_them_and_else_from_the_log() {
    every(|situation| {
        if situation.operation == Operation::ListTasks {
            let same = situation.requester.same_wire(situation.worker);
            let expected = match (situation.can.list, situation.observe) {
                (false, _) => Plan::Log,
                // Nothing is kept, so no id is the sidecar's.
                (true, Observe::Off) if same => Plan::Pass,
                (true, _) => Plan::Translate,
            };
            assert_eq!(decide(situation), expected, "{situation:?}");
        }
    });
}

#[test]
fn each_requester_s_mode_takes_the_worker_s_best_way() {
    use Mode::{Blocking, Poll, Push, Stream};
    let all = [Poll, Stream, Push];
    for (want, modes, expected) in [
        // The worker's own blocking answer needs no conversion, whatever else it offers.
        (Want::Wait, &all[..], Blocking),
        (Want::Wait, &[][..], Blocking),
        // Who polls costs the worker its polls and no stream.
        (Want::AtOnce, &all, Poll),
        (Want::AtOnce, &[Stream], Stream),
        (Want::AtOnce, &[], Poll),
        (Want::Stream, &all, Stream),
        (Want::Stream, &[Poll, Push], Push),
        (Want::Stream, &[Poll], Poll),
        (Want::Stream, &[], Poll),
    ] {
        assert_eq!(
            first_way(&sending(want, modes)),
            expected,
            "{want:?} {modes:?}"
        );
    }
}

#[test]
fn a_webhook_is_fed_by_whatever_tells_soonest() {
    use Mode::{Poll, Push, Stream};
    for (modes, expected) in [
        (&[Poll, Stream, Push][..], Stream),
        (&[Poll, Push], Push),
        (&[Poll], Poll),
        (&[], Poll),
    ] {
        for want in [Want::Wait, Want::AtOnce] {
            let situation = Situation {
                inline_push: true,
                ..sending(want, modes)
            };
            assert_eq!(first_way(&situation), expected, "{want:?} {modes:?}");
        }
    }
}

#[test]
fn the_operator_s_preference_comes_first_where_the_worker_can() {
    let prefer = [Mode::Poll, Mode::Stream];
    let situation = Situation {
        prefer: &prefer,
        ..sending(Want::Stream, &[Mode::Poll, Mode::Stream, Mode::Push])
    };
    assert_eq!(first_way(&situation), Mode::Poll);
    let prefer = [Mode::Push];
    let cannot = Situation {
        prefer: &prefer,
        ..sending(Want::Stream, &[Mode::Poll, Mode::Stream])
    };
    assert_eq!(first_way(&cannot), Mode::Stream);
}

#[test]
fn a_0_2_worker_is_not_trusted_to_answer_at_once() {
    let situation = Situation {
        requester: Dialect::jsonrpc(Version::V0_3),
        worker: Dialect::jsonrpc(Version::V0_2),
        ..sending(Want::AtOnce, &[Mode::Poll, Mode::Stream])
    };
    assert_eq!(first_way(&situation), Mode::Stream);
}

#[test]
fn a_worker_whose_streams_do_the_job_is_sent_everything_by_one() {
    for want in [Want::Wait, Want::AtOnce, Want::Stream] {
        let mut situation = sending(want, &[Mode::Blocking, Mode::Poll, Mode::Stream]);
        situation.can.streams_first = true;
        let Plan::Send(ways) = decide(&situation) else {
            panic!("{want:?} is not sent");
        };
        assert_eq!(ways[0], Mode::Stream, "{want:?}");
        // Where that is refused, as usual.
        assert!(ways.contains(&Mode::Poll), "{want:?}");
    }
}

#[test]
fn a_worker_that_may_call_back_is_told_whom_however_its_requester_asks() {
    for want in [Want::Wait, Want::AtOnce, Want::Stream] {
        let situation = sending(want, &[Mode::Blocking, Mode::Poll, Mode::Callback]);
        assert_eq!(first_way(&situation), Mode::Callback, "{want:?}");
        let unreachable = Situation {
            reachable: false,
            ..situation.clone()
        };
        assert_ne!(first_way(&unreachable), Mode::Callback, "{want:?}");
        let prefer = [Mode::Poll];
        let forbidden = Situation {
            prefer: &prefer,
            ..situation
        };
        let Plan::Send(ways) = decide(&forbidden) else {
            panic!("{want:?} is not sent");
        };
        assert!(!ways.contains(&Mode::Callback), "{want:?}");
    }
}

#[test]
fn a_0_3_worker_that_streams_is_not_joined_late() {
    let situation = Situation {
        requester: V1_0,
        worker: Dialect::jsonrpc(Version::V0_3),
        ..sending(Want::AtOnce, &[Mode::Poll, Mode::Stream])
    };
    assert_eq!(first_way(&situation), Mode::Stream);
    let polled = Situation {
        worker: Dialect::jsonrpc(Version::V0_3),
        ..sending(Want::AtOnce, &[Mode::Poll])
    };
    assert_eq!(first_way(&polled), Mode::Poll);
}
