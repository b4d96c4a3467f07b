//! A session that sends back what it hears, and Autobahn's fuzzing client against it. It is there
//! in test builds only. The listener, the handshake, the door, the socket, the driver and the
//! goodbye are the product's; only what a message means is not.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use vetrina_core::refused::Refused;
use vetrina_protocol::encoding::Encoding;

use super::running::{Session, Talk};
use super::{Channel, End, Request, Response};
use crate::channel::socket::frame;

/// Answers every message with itself.
pub(super) struct Echo;

impl Talk for Echo {
    fn begin_turn(&mut self) -> Result<(), End> {
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn give(&mut self, _: impl FnMut(Bytes)) -> Result<(), End> {
        Ok(())
    }

    fn hear(&mut self, text: bool, payload: &[u8]) -> Result<Vec<Bytes>, End> {
        // An encoding is a kind of frame here: JSON travels as text.
        let kind = if text {
            Encoding::Json
        } else {
            Encoding::MessagePack
        };
        Ok(vec![frame(kind, payload)])
    }

    fn count_control(&mut self) -> Result<(), End> {
        Ok(())
    }

    async fn news(&mut self, _: bool) -> Result<Option<Bytes>, End> {
        std::future::pending().await
    }

    fn time_left(&self) -> Duration {
        Duration::MAX
    }
}

impl Channel {
    /// Opens a session that echoes.
    pub(crate) fn echo(&self, address: IpAddr, request: Request) -> Result<Response, Refused> {
        let (response, accepted) = self.accept(address, request)?;
        let channel = self.clone();
        tokio::spawn(async move {
            let Some((mut socket, _, place)) = accepted.opened().await else {
                return;
            };
            let end = Session::new(Echo).run(&mut socket).await;
            channel.say_goodbye(socket, place, end).await;
        });
        Ok(response)
    }
}

mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::path::Path;
    use std::process::Stdio;
    use std::time::Duration;

    use futures_util::{SinkExt as _, StreamExt as _};
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::json;
    use tokio::process::Command;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    use tokio_tungstenite::tungstenite::http::HeaderValue;
    use tokio_util::sync::CancellationToken;
    use vetrina_protocol::{FRAME_BYTES_MAX, SUBPROTOCOL_MSGPACK};

    use crate::app::{App, Listeners};
    use crate::config::{Config, Gathered};

    /// Where the HTTP routes have it.
    const PATH: &str = "/test/echo";
    /// All of 1 to 7 (framing, pings, reserved bits, opcodes, fragments, UTF-8, closing) and 10
    /// (fragments of the sender's choice). 9 is about speed with messages beyond our bound, 12 and
    /// 13 about compression, which we do not offer.
    const SECTIONS: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
    /// In Autobahn's test suite 25.10.1.
    const CASES: usize = 247;
    /// They take about a minute: some of them wait on purpose.
    const WITHIN: Duration = Duration::from_secs(270);

    /// A whole server, by itself.
    async fn server(folder: &Path) -> SocketAddr {
        let options = Gathered::new(false)
            .with("listen", "127.0.0.1:0")
            .with("ops-listen", "127.0.0.1:0")
            .with("udp-bind", "127.0.0.1")
            .with("udp-port", "0")
            .with("payment", "none")
            .with(
                "token-secret",
                "Qm9zY28sIG1hcmUsIG1vbnRhZ25hOiB0ZXN0cyBvbmx5",
            )
            .with("data-dir", folder.display().to_string());
        let config = Config::from_gathered(&options).expect("a good configuration");
        let listeners = Listeners::bind(&config).expect("free ports");
        let address = listeners.public_address().expect("bound");
        let app = App::open(config, listeners).await.expect("opens");
        // It ends with the test's process.
        tokio::spawn(app.run(CancellationToken::new()));
        address
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_said_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = server(folder.path()).await;
        let url = format!("ws://{address}{PATH}");
        let mut request = url.into_client_request().expect("a request");
        let offer = HeaderValue::from_static(SUBPROTOCOL_MSGPACK);
        request
            .headers_mut()
            .insert("sec-websocket-protocol", offer);
        let (mut socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .expect("a session");
        let longest = vec![7; FRAME_BYTES_MAX];
        for said in [
            Message::text("ciao, à tous"),
            Message::binary(Vec::new()),
            Message::binary(longest.clone()),
        ] {
            socket.send(said.clone()).await.expect("sent");
            let heard = socket.next().await.expect("an answer");
            assert_eq!(heard.expect("a message"), said);
        }
        let longer = [longest, vec![7]].concat();
        socket.send(Message::binary(longer)).await.expect("sent");
        let end = socket.next().await.expect("a close").expect("a message");
        let Message::Close(Some(frame)) = end else {
            panic!("closed, but {end:?}");
        };
        assert_eq!(u16::from(frame.code), 1009);
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        behavior: String,
        behavior_close: String,
        reportfile: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Details {
        description: String,
        result: String,
        result_close: String,
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs wstest of autobahntestsuite; `cargo verify -- --only autobahn` installs it"]
    async fn autobahn_finds_no_fault() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = server(folder.path()).await;
        let reports = folder.path().join("reports");
        let specification = json!({
            "outdir": reports,
            "servers": [{
                "agent": "vetrina",
                "url": format!("ws://{address}{PATH}"),
                "protocols": [SUBPROTOCOL_MSGPACK],
            }],
            "cases": SECTIONS,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        });
        let file = folder.path().join("fuzzingclient.json");
        std::fs::write(&file, specification.to_string()).expect("written");
        let mut wstest = Command::new("wstest");
        wstest
            .args(["--mode", "fuzzingclient", "--spec"])
            .arg(&file);
        wstest.current_dir(folder.path()).kill_on_drop(true);
        // A line for every case.
        let running = wstest.stdin(Stdio::null()).stdout(Stdio::null()).status();
        let status = tokio::time::timeout(WITHIN, running)
            .await
            .expect("it ends in time")
            .expect("wstest is on the PATH");
        assert!(status.success(), "wstest ended with {status}");

        let found: BTreeMap<String, BTreeMap<String, Case>> = read(&reports.join("index.json"));
        let cases = &found["vetrina"];
        assert_eq!(cases.len(), CASES, "cases that ran");
        let mut outcomes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let (mut faults, mut not_strict) = (String::new(), Vec::new());
        for (id, case) in cases {
            let outcome = (case.behavior.as_str(), case.behavior_close.as_str());
            *outcomes.entry(outcome).or_default() += 1;
            if outcome.0 == "NON-STRICT" {
                not_strict.push(id.as_str());
            }
            if !matches!(outcome.0, "OK" | "NON-STRICT" | "INFORMATIONAL")
                || !matches!(outcome.1, "OK" | "INFORMATIONAL")
            {
                let details: Details = read(&reports.join(&case.reportfile));
                faults += &format!(
                    "\n{id} {outcome:?}: {}\n  {}\n  {}\n",
                    details.description, details.result, details.result_close
                );
            }
        }
        let line = format!("{CASES} cases; (behaviour, close): {outcomes:?}");
        assert!(faults.is_empty(), "{line}{faults}");
        // What the stage of `cargo verify` shows.
        println!("{line}\nnot strict: {}", not_strict.join(", "));
    }

    fn read<T: DeserializeOwned>(file: &Path) -> T {
        let bytes = std::fs::read(file).expect("a report");
        serde_json::from_slice(&bytes).expect("as Autobahn writes it")
    }
}
