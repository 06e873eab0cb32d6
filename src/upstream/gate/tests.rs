//! Whose turn is next.

use std::net::Ipv4Addr;

use futures_util::FutureExt;

use super::*;

const MANY: Caller = Caller { address: IpAddr::V4(Ipv4Addr::LOCALHOST), key: Some(1) };
const FEW: Caller = Caller { address: IpAddr::V4(Ipv4Addr::LOCALHOST), key: Some(2) };

/// Waits in line; what it waits for is given by whoever drops a slot.
type Waiting = std::pin::Pin<Box<dyn Future<Output = Result<Slot, Full>> + Send>>;

fn wait(gate: &Arc<Gate>, urgency: Urgency) -> Waiting {
    let gate = Arc::clone(gate);
    let mut waiting: Waiting = Box::pin(async move { gate.enter(urgency).await });
    assert!((&mut waiting).now_or_never().is_none(), "nobody waits here");
    waiting
}

fn has_turn(waiting: &mut Waiting) -> Option<Slot> {
    waiting.now_or_never().map(Result::unwrap)
}

#[test]
fn who_asks_for_much_lets_others_have_their_turns() {
    let gate = Gate::new(1, 64);
    let slot = gate.try_enter().unwrap();
    let mut many: Vec<_> = (0..10).map(|_| wait(&gate, Urgency::Request(MANY))).collect();
    let mut few = wait(&gate, Urgency::Request(FEW));
    let mut visit = wait(&gate, Urgency::Visit);
    drop(slot);
    let slot = has_turn(&mut visit).expect("a visit goes first");
    drop(slot);
    let slot = has_turn(&mut many[0]).expect("who came first");
    drop(slot);
    let slot = has_turn(&mut few).expect("who has waited for one turn");
    drop(slot);
    for waiting in &mut many[1..] {
        drop(has_turn(waiting).expect("the others in their order"));
    }
}

#[test]
fn a_full_queue_takes_from_who_has_most_in_it() {
    let gate = Gate::new(1, 4);
    let slot = gate.try_enter().unwrap();
    let mut many: Vec<_> = (0..4).map(|_| wait(&gate, Urgency::Request(MANY))).collect();
    let refused = gate.enter(Urgency::Request(MANY)).now_or_never();
    assert!(matches!(refused, Some(Err(Full))), "its own is full");
    let mut few: Vec<_> = (0..2).map(|_| wait(&gate, Urgency::Request(FEW))).collect();
    assert!(matches!((&mut many[3]).now_or_never(), Some(Err(Full))));
    assert!(matches!((&mut many[2]).now_or_never(), Some(Err(Full))));
    let refused = gate.enter(Urgency::Request(FEW)).now_or_never();
    assert!(matches!(refused, Some(Err(Full))), "both have the same by now");
    drop(slot);
    for waiting in [&mut many[0], &mut few[0]] {
        drop(has_turn(waiting).expect("in turns"));
    }
}

#[test]
fn who_left_takes_nobodys_place() {
    let gate = Gate::new(1, 2);
    let slot = gate.try_enter().unwrap();
    drop([wait(&gate, Urgency::Request(MANY)), wait(&gate, Urgency::Request(FEW))]);
    let mut stays = wait(&gate, Urgency::Request(MANY));
    drop(slot);
    assert!(has_turn(&mut stays).is_some());
}
