//! Starts the server and lets promtool judge what it serves under /metrics. Speaks just enough HTTP
//! to fetch one page from loopback, and knows no metric.

use crate::repository::in_file;
use crate::run::Runner;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Signs the tokens of this one server, which ends with the check.
const SECRET: &str = "metrics-stage-only-secret-of-a-server-on-loopback";

/// Fetches the metrics of a server of our own and has them judged.
pub(crate) fn check(runner: &Runner<'_>, server: &Path) -> Result<(), String> {
    let folder = runner.repository.local("verify/metrics");
    fs::create_dir_all(&folder).map_err(|error| in_file(&folder, &error))?;
    let ops = free_address()?;
    let mut command = runner.command(&server.to_string_lossy())?;
    command.args([
        "serve",
        "--log",
        "warn",
        "--udp-port",
        "0",
        "--udp-bind",
        "127.0.0.1",
    ]);
    command.args([
        "--listen",
        &free_address()?.to_string(),
        "--ops-listen",
        &ops.to_string(),
    ]);
    command.arg("--data-dir").arg(folder.join("data"));
    command
        .env("VETRINA_TOKEN_SECRET", SECRET)
        .stdin(Stdio::null());
    let child = command.spawn().map_err(|error| in_file(server, &error))?;
    let mut server = Own(child);
    server.ready(ops)?;
    let text = get(ops, "/metrics")?;
    let page = folder.join("metrics.txt");
    fs::write(&page, &text).map_err(|error| in_file(&page, &error))?;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    if !text.contains("vetrina_") {
        return Err(format!(
            "/metrics names no metric of Vetrina: see {}",
            page.display()
        ));
    }
    runner.say(&format!("{series} series in {}", page.display()))?;
    let page = fs::File::open(&page).map_err(|error| in_file(&page, &error))?;
    let mut promtool = runner.command("promtool")?;
    runner.run_with_input(promtool.args(["check", "metrics"]), page.into())?;
    check_rules(runner)
}

/// The alerts are well formed, ring when they should, and ask for metrics that there are.
fn check_rules(runner: &Runner<'_>) -> Result<(), String> {
    let rules = runner.repository.at("deploy/prometheus/rules.yml");
    let tests = runner.repository.at("deploy/prometheus/rules.test.yml");
    for (what, file) in [("check", &rules), ("test", &tests)] {
        let mut promtool = runner.command("promtool")?;
        runner.run(promtool.args([what, "rules"]).arg(file))?;
    }
    // What is served has a metric only once it has a value, so the code is looked into.
    let code = runner.repository.at("server/src/ops/metrics");
    let read = |file: &Path| fs::read_to_string(file).map_err(|error| in_file(file, &error));
    let mut made = read(&code.with_extension("rs"))?;
    for entry in fs::read_dir(&code).map_err(|error| in_file(&code, &error))? {
        made += &read(&entry.map_err(|error| in_file(&code, &error))?.path())?;
    }
    for name in metrics_in(&read(&rules)?) {
        let family = name.strip_suffix("_bucket").unwrap_or(name);
        if !made.contains(&format!("\"{family}\"")) {
            return Err(format!("{}: no server has vetrina_{name}", rules.display()));
        }
    }
    Ok(())
}

fn metrics_in(rules: &str) -> impl Iterator<Item = &str> {
    let words = rules.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter_map(|word| word.strip_prefix("vetrina_"))
}

/// A server process that ends with this value.
struct Own(Child);

impl Own {
    fn ready(&mut self, ops: SocketAddr) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let ended = self
                .0
                .try_wait()
                .map_err(|error| format!("the server: {error}"))?;
            if let Some(status) = ended {
                return Err(format!("the server ended while starting: {status}"));
            }
            match get(ops, "/health/ready") {
                Ok(_) => return Ok(()),
                Err(why) if began.elapsed() > READY_WITHIN => {
                    return Err(format!(
                        "the server is not ready after {READY_WITHIN:?}: {why}"
                    ));
                }
                Err(_) => thread::sleep(LOOK_EVERY),
            }
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The body of an answer with status 200.
fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("http://{address}{path}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, READ_WITHIN).map_err(failed)?;
    stream.set_read_timeout(Some(READ_WITHIN)).map_err(failed)?;
    // HTTP/1.0: the answer ends with the connection and comes in one piece.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("an answer without a head")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(format!("http://{address}{path} answers {status}"))
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}
