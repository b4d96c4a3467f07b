//! An ICE restart by PATCH (RFC 9725, section 4.3.3): the fragment that asks for it, made from an
//! offer with new credentials, and the answer that the server's fragment amounts to. Text only.

/// What a client sends: its new credentials and candidates, in the first of the bundled sections.
pub(crate) fn fragment_of(offer: &str) -> String {
    let wanted = |line: &&str| {
        [
            "a=mid:",
            "a=ice-ufrag:",
            "a=ice-pwd:",
            "a=candidate:",
            "a=end-of-candidates",
        ]
        .iter()
        .any(|start| line.starts_with(start))
    };
    let mut sections = offer.split("\nm=");
    let session = sections.next().unwrap_or_default();
    let first = sections.next().unwrap_or_default();
    // Credentials may stand above all sections.
    let above = session.lines().filter(|line| {
        line.starts_with("a=group:")
            || line.starts_with("a=ice-ufrag:")
            || line.starts_with("a=ice-pwd:")
    });
    let media = first.lines().next().unwrap_or_default().trim_end();
    let mut lines: Vec<String> = above.map(|line| line.trim_end().to_owned()).collect();
    lines.push(format!("m={media}"));
    lines.extend(
        first
            .lines()
            .filter(wanted)
            .map(|line| line.trim_end().to_owned()),
    );
    lines.join("\r\n") + "\r\n"
}

/// The server's first answer with the credentials and candidates of its fragment. `None` if the
/// fragment has no credentials: then nothing was restarted.
pub(crate) fn answer_with(answer: &str, fragment: &str) -> Option<String> {
    let starting = |start: &str| {
        let line = fragment.lines().find(|line| line.starts_with(start))?;
        Some(line.trim_end().to_owned())
    };
    let ufrag = starting("a=ice-ufrag:")?;
    let pwd = starting("a=ice-pwd:")?;
    let candidates: Vec<&str> = fragment
        .lines()
        .filter(|line| line.starts_with("a=candidate:"))
        .map(str::trim_end)
        .collect();
    let mut lines = Vec::new();
    for line in answer.lines().map(str::trim_end) {
        match line {
            _ if line.starts_with("a=ice-ufrag:") => lines.push(ufrag.clone()),
            _ if line.starts_with("a=ice-pwd:") => {
                lines.push(pwd.clone());
                lines.extend(candidates.iter().map(|line| (*line).to_owned()));
            }
            _ if line.starts_with("a=candidate:") => {}
            _ => lines.push(line.to_owned()),
        }
    }
    Some(lines.join("\r\n") + "\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\na=group:BUNDLE 0 1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=ice-ufrag:new1\r\na=ice-pwd:newer\r\n\
        a=rtpmap:96 VP8/90000\r\na=candidate:1 1 udp 5 192.0.2.1 7 typ host\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=ice-ufrag:new1\r\na=ice-pwd:newer\r\n";

    #[test]
    fn a_fragment_has_the_first_section_only() {
        let expected = "a=group:BUNDLE 0 1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n\
            a=ice-ufrag:new1\r\na=ice-pwd:newer\r\na=candidate:1 1 udp 5 192.0.2.1 7 typ host\r\n";
        assert_eq!(fragment_of(OFFER), expected);
    }

    #[test]
    fn an_answer_changes_its_credentials_and_nothing_else() {
        let fragment = "a=ice-lite\r\nm=video 9 X 0\r\na=mid:0\r\na=ice-ufrag:theirs\r\n\
            a=ice-pwd:secret\r\na=candidate:2 1 udp 5 192.0.2.2 7 typ host\r\n";
        let answer = answer_with(OFFER, fragment).expect("credentials are there");
        assert_eq!(
            answer
                .matches("a=ice-ufrag:theirs\r\na=ice-pwd:secret\r\n")
                .count(),
            2
        );
        assert_eq!(answer.matches("a=candidate:2 ").count(), 2);
        assert!(!answer.contains("new") && !answer.contains("192.0.2.1"));
        assert!(answer.contains("a=rtpmap:96 VP8/90000\r\n") && answer.contains("a=mid:1\r\n"));
        assert_eq!(answer_with(OFFER, "a=ice-lite\r\n"), None);
    }
}
