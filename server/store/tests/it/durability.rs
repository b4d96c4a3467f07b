//! kill -9 at any moment: a child process (this binary again) sells, pins and prices through the
//! real stores and says what was acknowledged; it is killed, and everything it said must be there.
//! A second reading pretends that the machine lost power: of a copy of the files everything is cut
//! off that SQLite had not synced when the last acknowledgement was given.

mod child;
mod evidence;

use std::path::Path;

use evidence::{Ack, Evidence};

use crate::conformance::Dice;

/// Kills in one run; each continues on the files of the one before.
const ROUNDS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_kill_nine_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = folder.path();
    let mut evidence = Evidence::default();
    let (mut unsynced, mut caught) = (0, 0);
    for round in 0..ROUNDS {
        let mut dice = Dice::new(round + 1);
        let acks = 40 + usize::try_from(dice.below(300)).expect("small");
        let first_of_round = evidence.acks.len();
        evidence.killed_at_us = child::run_and_kill(home, round, acks, &mut evidence.acks);
        let of_round = &evidence.acks[first_of_round..];
        // Several tasks speak: the last line need not be the one that saw the most.
        let synced = of_round
            .iter()
            .map(|ack| evidence::frames_of(home, ack.synced));
        let synced = synced.max().expect("it acknowledged something");
        let frames = evidence::frames_written(home);

        // Power lost: at the last acknowledgement, and at random later moments.
        let tail = frames.saturating_sub(synced);
        unsynced += tail;
        for cut in [0, dice.below(u64::from(tail) + 1), u64::from(tail)] {
            let cut = synced + u32::try_from(cut).expect("small");
            let copy = copy_cut(home, cut);
            let missing = evidence.missing(copy.path()).await;
            assert!(
                missing.is_empty(),
                "round {round}, cut at frame {cut}: {missing:?}"
            );
        }
        // The check can fail: cut before the last acknowledgement, and it must be missed.
        let earlier = evidence.acks[first_of_round].synced;
        let earlier = evidence::frames_of(home, earlier);
        if earlier + 1 < synced {
            let copy = copy_cut(home, earlier);
            // A checkpoint may have written what was cut off: a torn file is noticed too.
            let noticed = !evidence::is_sound(copy.path()).await
                || !evidence.missing(copy.path()).await.is_empty();
            caught += u32::from(noticed);
        }

        // The process alone died: the files are as they are.
        let missing = evidence.missing(home).await;
        assert!(missing.is_empty(), "round {round}: {missing:?}");
        evidence.check_hot(home).await;
    }
    assert!(caught > 0, "no cut was noticed: the check proves nothing");
    println!("{}", evidence.report(unsynced, caught));
}

/// A copy of the ledger whose WAL ends after `frames`.
fn copy_cut(home: &Path, frames: u32) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let (db, wal) = (
        copy.path().join(evidence::DB),
        copy.path().join(evidence::WAL),
    );
    std::fs::copy(home.join(evidence::DB), db).expect("copied");
    if home.join(evidence::WAL).exists() {
        std::fs::copy(home.join(evidence::WAL), &wal).expect("copied");
        let file = std::fs::File::options()
            .write(true)
            .open(&wal)
            .expect("opened");
        let bytes = evidence::bytes_of(frames).min(file.metadata().expect("its size").len());
        file.set_len(bytes).expect("cut");
    }
    copy
}

/// What the child says, line by line.
fn parse(line: &str) -> Option<Ack> {
    let (_, said) = line.split_once("ACK ")?;
    Ack::parse(said)
}
