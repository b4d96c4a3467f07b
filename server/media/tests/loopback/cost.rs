//! What one packet to one viewer costs. Not a test of right or wrong: run it alone, by hand, as
//! `cargo test -p vetrina-media --test loopback -- --ignored --nocapture cost`.

use super::*;

const VIEWERS: usize = 100;
const FRAMES_PER_SECOND: f64 = 28.0;
const PACKETS_PER_FRAME: u16 = 6;
const TIME: Duration = Duration::from_secs(10);

/// Processor time of the media thread in seconds, as Linux counts it.
fn processor_time() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let stat = tasks
        .filter_map(|task| task.ok().map(|task| task.path()))
        .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|c| c == "media\n"))
        .and_then(|task| std::fs::read_to_string(task.join("stat")).ok())
        .expect("the media thread runs");
    let after_name = stat.rsplit(')').next().expect("has a name");
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .flat_map(str::parse::<f64>)
        .sum();
    ticks / 100.0
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .expect("pages")
        * 4
}

#[tokio::test]
#[ignore = "measures for ten seconds and wants the machine for itself"]
async fn cost_of_a_packet_to_a_viewer() {
    let media = start();
    let (mut publisher, _) = join(&media, Habits::publisher()).await;
    live(&media, &mut publisher, &frame(1, 0, true)).await;
    let (memory, time) = (resident_kib(), processor_time());
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let (viewer, _) = join(&media, Habits::viewer()).await;
        viewer.socket.set_nonblocking(true).expect("possible");
        viewers.push(viewer);
    }
    let joined_ms = (processor_time() - time) * 1_000.0 / VIEWERS as f64;
    let kib = (resident_kib() - memory) / VIEWERS as u64;
    println!("{joined_ms:.2} ms of processor per join, {kib} KiB per viewer with its client");
    let before = media.broadcast_stats(SHOW).expect("known").packets_out;
    let (time, begun) = (processor_time(), Instant::now());
    let (mut sent, mut buffer) = (0_u16, [0; 2_048]);
    while begun.elapsed() < TIME {
        let frames = (begun.elapsed().as_secs_f64() * FRAMES_PER_SECOND) as u16;
        let due = frames * PACKETS_PER_FRAME;
        while sent < due {
            let mut packet = frame(2 + sent, u32::from(sent / PACKETS_PER_FRAME) * 3_214, false);
            let mut payload = packet.payload.to_vec();
            payload.resize(1_188, 1);
            packet.payload = payload.into();
            publisher.send(&packet);
            sent += 1;
        }
        for viewer in &viewers {
            while viewer.socket.recv_from(&mut buffer).is_ok() {}
        }
    }
    publisher.listen(Duration::from_millis(1_100));
    let out = media.broadcast_stats(SHOW).expect("known").packets_out - before;
    let spent = processor_time() - time;
    println!(
        "{out} packets, {:.2} us each, {:.0} per core",
        spent * 1e6 / out as f64,
        out as f64 / spent
    );
    assert!(out >= u64::from(sent) * VIEWERS as u64);
}
