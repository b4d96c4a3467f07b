//! `vetrina-load`: loads a Vetrina server through its public interfaces and says what it saw. It
//! knows the wire and nothing of the server's insides. One contract holds for every command: see
//! [`report`].

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool"
)]

mod buyer;
mod channel;
mod chaos;
mod claims;
mod cores;
mod crash;
mod customer;
mod follower;
mod herd;
mod hot;
mod market;
mod media;
mod mixed;
mod open_files;
mod progress;
mod report;
mod reserve;
mod server;
mod slow;
mod stack;
mod storm;

use std::fmt::Display;
use std::pin::Pin;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use report::{Figures, Requirement};

/// Loads a Vetrina server and says what it saw.
///
/// Without --target each command starts its own server from the `vetrina` binary beside this one
/// (or VETRINA_BIN), in a temporary folder, and ends it. Exit code 0: all that was required held;
/// 1: something did not; 2: the command could not be carried out.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Many buyers reserve one listing of few units at the same moment, through real sockets.
    ///
    /// Figures: granted, oversold (units granted beyond the stock, by the answers or by the
    /// server's own books), unanswered, answered_p50_ms, answered_p99_ms.
    Reserve(reserve::Options),
    /// Durable claims on one hot sku, many buyers at once against one transaction per claim.
    ///
    /// Figures: claims_per_second, ratio_to_single, single_per_second. Always on a database of its
    /// own; an order, its line, the buyer's limit and its outbox work are in every claim.
    Claims(claims::Options),
    /// A sale during which the server is killed (SIGKILL) and started again, round after round.
    ///
    /// Figures: orders, paid, lost (acknowledged and not in the books), oversold, doubled (two
    /// orders of one key, two charges of one order), orphan_charges (kept without a paid order),
    /// recovery_p50_ms, recovery_p99_ms (kill to ready). Always starts its own server.
    Crash(crash::Options),
    /// A sale on two nodes with Redis, PostgreSQL and payments, while one after the other dies.
    ///
    /// Figures: reservations, orders, paid, oversold, doubled, lost, orphan_charges,
    /// broken_promises_percent (granted, then refused), books_wrong (sums that do not add up),
    /// offset_gaps, comments_lost, presence_wrong, faults_without_effect (must be 0). Each fault
    /// prints the effect it was seen to have. Always starts its own servers.
    Chaos(chaos::Options),
    /// Reservations through the hot store, against redis-benchmark with the same function.
    ///
    /// Figures: reservations_per_second (coalesced), ratio_to_redis_benchmark_single,
    /// ratio_to_redis_benchmark_batched, answered_10k_ms (10,000 buyers of one listing at once).
    /// Starts a Redis of its own.
    Hot(hot::Options),
    /// One publisher by WHIP and many viewers by WHEP, all of them independent WebRTC clients;
    /// every packet of a synthetic picture is counted, and one viewer restarts ICE halfway.
    ///
    /// Figures: viewers, connected, with_picture, connected_p95_ms, first_frame_p50_ms and
    /// first_frame_p95_ms (from the offer until a keyframe is whole), delivered_percent (of what
    /// was sent while it was counted, retransmissions included), lost, duplicated, reordered,
    /// renumbered (RTP's numbers moved against the publisher's), damaged, packets_per_second,
    /// keyframes_per_second, keyframe_requests_per_second and transport_reports_per_second (what
    /// the publisher was told), ice_restarts, ice_restart_ms, undeleted (sessions whose DELETE
    /// failed).
    Media(media::Options),
    /// Comments fanned out to thousands of viewers, beside named peers that do the same.
    ///
    /// Figures: deliveries_per_second, latency_p50_ms, latency_p99_ms (from the moment a comment
    /// is due until a viewer has read it), lost, gaps, server_cpu_us_per_delivery, kib_per_viewer
    /// (resident, against the server without viewers), joined_s, refused, sessions_ended,
    /// server_cpu_percent, client_cpu_percent; with --find-max max_deliveries_per_second_per_core.
    /// The same with _uws, _nats, _nchan or _socketio for each --peer, and ratio_to_uws and so on:
    /// how many times less CPU a delivery costs, or with --find-max how many times more deliveries
    /// a core makes. Medians of all runs.
    Channel(channel::Options),
    /// Everybody joins at once while the host goes on pinning.
    ///
    /// Figures: joins_per_second (handshake, Hello and snapshot), pin_p99_ms and pin_p50_ms (from
    /// the host's command until a viewer who was in has read it), pins, pins_told, joined_s,
    /// snapshots, failed_tries, gaps, server_cpu_us_per_join, kib_per_viewer.
    Storm(storm::Options),
    /// Some viewers stop reading in the middle of a busy show.
    ///
    /// Figures: others_p99_growth_percent (others_p99_before_ms, others_p99_during_ms),
    /// kernel_and_server_mib (most that the server and all TCP sockets of this machine held; with
    /// kernel_and_server_before_mib), lost, gaps, stuck_closed, stuck_back, stuck_resumed.
    Slow(slow::Options),
    /// The server is killed (SIGKILL) under its viewers and started again. Always its own server.
    ///
    /// Figures: all_back_s and half_back_s (from the kill), resumed_percent (continued without a
    /// snapshot), gaps, lost_afterwards, failed_tries, server_back_s.
    Herd(herd::Options),
    /// A whole sale: comments, stock changes, reactions and reservations in one room.
    ///
    /// Figures: comment_p99_ms, stock_p99_ms (from the decision), reservation_p99_ms (until its
    /// answer) and the same with p50, reactions_told_percent, reservations_granted, refused, lost,
    /// gaps, frames_per_second, peer_frames_per_second (what a server that sends every message
    /// alone would have had to send), server_cpu_percent, client_cpu_percent, server_mib.
    Mixed(mixed::Options),
}

/// What every command takes.
#[derive(Args, Clone)]
struct Common {
    /// A running server, such as http://127.0.0.1:8080. Needs --token.
    #[arg(long, requires = "token", value_name = "URL")]
    target: Option<String>,
    /// A host's token of that server (`vetrina token --role host`); the command makes a show of
    /// its own there.
    #[arg(
        long,
        value_name = "JWT",
        hide_env_values = true,
        env = "VETRINA_LOAD_TOKEN"
    )]
    token: Option<String>,
    /// Print one JSON object {"command", "figures", "ok"} instead of the table.
    #[arg(long)]
    json: bool,
    /// Fail unless a figure holds, such as 'answered_p99_ms<=1000'; may be repeated.
    #[arg(long = "require", value_name = "NAME<=VALUE")]
    requirements: Vec<Requirement>,
    /// End after this many seconds, whatever happened.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_s: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let (name, common, work) = begin(Cli::parse().command);
    let outcome = tokio::select! {
        outcome = work => outcome,
        // What was started ends with the work that is dropped here.
        () = interrupted() => Err("interrupted".to_owned()),
    };
    match outcome {
        Ok(figures) => report::print(name, &figures, &common.requirements, common.json),
        Err(error) => {
            eprintln!("vetrina-load: {error}");
            ExitCode::from(2)
        }
    }
}

type Work = Pin<Box<dyn Future<Output = Result<Figures, String>>>>;

fn begin(command: Command) -> (&'static str, Common, Work) {
    match command {
        Command::Reserve(options) => {
            let common = options.common.clone();
            ("reserve", common, boxed(reserve::run(options)))
        }
        Command::Claims(options) => {
            let common = options.common.clone();
            ("claims", common, boxed(claims::run(options)))
        }
        Command::Crash(options) => {
            let common = options.common.clone();
            ("crash", common, boxed(crash::run(options)))
        }
        Command::Hot(options) => {
            let common = options.common.clone();
            ("hot", common, boxed(hot::run(options)))
        }
        Command::Chaos(options) => {
            let mut common = options.common.clone();
            // A fault that nobody noticed proves nothing.
            common.requirements.push(chaos::every_fault_has_an_effect());
            ("chaos", common, boxed(chaos::run(options)))
        }
        Command::Media(options) => {
            let common = options.common.clone();
            ("media", common, boxed(media::run(options)))
        }
        Command::Channel(options) => {
            let common = options.common.clone();
            ("channel", common, boxed(channel::run(options)))
        }
        Command::Storm(options) => {
            let common = options.common.clone();
            ("storm", common, boxed(storm::run(options)))
        }
        Command::Slow(options) => {
            let common = options.common.clone();
            ("slow", common, boxed(slow::run(options)))
        }
        Command::Herd(options) => {
            let common = options.common.clone();
            ("herd", common, boxed(herd::run(options)))
        }
        Command::Mixed(options) => {
            let common = options.common.clone();
            ("mixed", common, boxed(mixed::run(options)))
        }
    }
}

fn boxed<E: Display>(work: impl Future<Output = Result<Figures, E>> + 'static) -> Work {
    Box::pin(async move { work.await.map_err(|error| error.to_string()) })
}

/// Ctrl-C, or SIGTERM.
async fn interrupted() {
    let terminated = signal(SignalKind::terminate());
    let Ok(mut terminated) = terminated else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}
