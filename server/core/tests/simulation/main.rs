//! Thousands of simulated shows, each from a seed: buyers that retry and forget, a host that
//! changes stock and prices, crashes that lose the hot state, a provider that is late, repeats
//! itself and contradicts itself. An oracle outside (`oracle`) recounts what everybody was told.
//!
//! `cargo test -p vetrina-core --test simulation` runs 2,000 seeds. A failure prints its seed:
//! `VETRINA_SEED=<seed> cargo test -p vetrina-core --test simulation` runs that one alone, and
//! `VETRINA_SEEDS=<count>` runs another number of seeds.
//!
//! To show that the oracle would notice, a build with the feature `breakages` can break core on
//! purpose (`src/breakage.rs`):
//! `cargo test -p vetrina-core --features breakages --test simulation` then also runs
//! `oversell_is_caught`, `overtaking_is_caught` and `double_refund_is_caught`. Each passes (exit
//! code 0) when the oracle complains of that very fault, and prints `caught <fault>: seed ...`; it
//! fails (exit code 101) when all seeds pass unnoticed.

mod dice;
mod journal;
mod ledger;
mod oracle;
mod people;
mod provider;
mod shop;
mod world;

use world::{HOUR_MS, Tally, World};

const SEEDS: u64 = 2_000;

#[test]
#[expect(
    clippy::disallowed_types,
    reason = "the figure printed at the end is wall-clock time"
)]
fn thousands_of_shows_keep_every_promise() {
    let started = std::time::Instant::now();
    let mut sum = Tally::default();
    let seeds = match number("VETRINA_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("VETRINA_SEEDS").unwrap_or(SEEDS),
    };
    let count = seeds.end() - seeds.start() + 1;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let shares: Vec<Result<Tally, String>> = std::thread::scope(|scope| {
        let share = |nth| seeds.clone().skip(nth).step_by(threads);
        let workers: Vec<_> = (0..threads)
            .map(|nth| scope.spawn(move || run_all(share(nth))))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no worker panics"))
            .collect()
    });
    for share in shares {
        match share {
            Ok(tally) => sum.add(&tally),
            Err(complaint) => panic!("{complaint}"),
        }
    }
    println!(
        "{count} seeds in {:.1} s on {threads} threads: {sum}",
        started.elapsed().as_secs_f32()
    );
    assert!(
        sum.simulated_ms >= count * HOUR_MS.unsigned_abs(),
        "shows were shorter than an hour"
    );
    if count >= 100 {
        sum.assert_rich();
    }
}

/// Runs until the first complaint, which names its seed.
fn run_all(seeds: impl Iterator<Item = u64>) -> Result<Tally, String> {
    let mut sum = Tally::default();
    for seed in seeds {
        let tally = World::new(seed).run().map_err(|complaint| {
            format!(
                "seed {seed}: {complaint}\nrerun it alone: \
                 VETRINA_SEED={seed} cargo test -p vetrina-core --test simulation"
            )
        })?;
        sum.add(&tally);
    }
    Ok(sum)
}

#[cfg(feature = "breakages")]
mod broken {
    use super::{SEEDS, World};
    use vetrina_core::breakage::{Breakage, switch};

    #[test]
    fn oversell_is_caught() {
        assert_caught(Breakage::Oversell, "oversold");
    }

    #[test]
    fn overtaking_is_caught() {
        assert_caught(Breakage::Overtake, "overtaken");
    }

    #[test]
    fn double_refund_is_caught() {
        assert_caught(Breakage::DoubleRefund, "refunded 2 times");
    }

    #[expect(clippy::print_stdout, reason = "says by which seed it was caught")]
    fn assert_caught(breakage: Breakage, complaint_about: &str) {
        switch(Some(breakage));
        let caught = (1..=SEEDS).find_map(|seed| {
            let complaint = World::new(seed).run().err()?;
            Some((seed, complaint))
        });
        switch(None);
        let (seed, complaint) = caught.expect("core is broken, and nobody noticed");
        assert!(
            complaint.contains(complaint_about),
            "seed {seed}: {complaint}"
        );
        println!("caught {breakage:?}: seed {seed}: {complaint}");
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {text}")),
    )
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.simulated_ms += other.simulated_ms;
        self.buyers += other.buyers;
        self.grants += other.grants;
        self.offers += other.offers;
        self.refusals += other.refusals;
        self.crashes += other.crashes;
        self.paid += other.paid;
        self.refunded += other.refunded;
        self.reclaimed += other.reclaimed;
        self.claims_refused += other.claims_refused;
    }

    /// A simulation in which nothing interesting happens proves nothing.
    fn assert_rich(&self) {
        let counts = [
            ("offers", self.offers),
            ("crashes", self.crashes),
            ("paid", self.paid),
            ("refunded", self.refunded),
            ("reclaimed", self.reclaimed),
            ("claims refused", self.claims_refused),
        ];
        for (name, count) in counts {
            assert!(count > 0, "no {name} in the whole simulation");
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} simulated hours, {} steps, {} buyers, {} reservations ({} by the waitlist), \
             {} refusals, {} crashes, {} orders paid at the end, {} refunded, {} paid late and \
             served, {} claims refused by the ledger",
            self.simulated_ms / HOUR_MS.unsigned_abs(),
            self.steps,
            self.buyers,
            self.grants,
            self.offers,
            self.refusals,
            self.crashes,
            self.paid,
            self.refunded,
            self.reclaimed,
            self.claims_refused
        )
    }
}
