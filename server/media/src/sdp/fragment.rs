//! Trickle-ICE fragments (RFC 8840) of a PATCH. Candidates are checked for form only: an ICE-lite
//! server learns addresses from the checks that arrive, and never sends to one it was merely told.

use crate::api::Refused;
use crate::limits;

/// What a fragment says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fragment {
    /// The client's ICE user fragment, if the fragment names it.
    pub(crate) ufrag: Option<String>,
    pub(crate) pwd: Option<String>,
    /// Candidates in it, whatever they are.
    pub(crate) candidates: usize,
}

impl Fragment {
    pub(crate) fn read(text: &str) -> Result<Self, Refused> {
        let malformed = |why: String| Refused::MalformedFragment(why);
        if text.len() > limits::FRAGMENT_BYTES {
            return Err(malformed("it is larger than any real fragment".to_owned()));
        }
        let mut fragment = Self::default();
        let mut lines = 0;
        for line in text.lines().filter(|line| !line.is_empty()) {
            lines += 1;
            let (kind, value) = line
                .split_once('=')
                .ok_or_else(|| malformed(format!("no '=' in line {lines}")))?;
            match (kind, value.split_once(':').unwrap_or((value, ""))) {
                ("a", ("ice-ufrag", ufrag)) => fragment.ufrag = Some(ufrag.trim().to_owned()),
                ("a", ("ice-pwd", pwd)) => fragment.pwd = Some(pwd.trim().to_owned()),
                ("a", ("candidate", _)) => fragment.candidates += 1,
                ("a" | "m", _) => {}
                _ => return Err(malformed(format!("line {lines} is neither a= nor m="))),
            }
        }
        if lines == 0 {
            return Err(malformed("it is empty".to_owned()));
        }
        if fragment.ufrag.is_some() != fragment.pwd.is_some() {
            return Err(malformed(
                "a=ice-ufrag and a=ice-pwd belong together".to_owned(),
            ));
        }
        Ok(fragment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_and_credentials_are_read() {
        let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
            m=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
            a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\n\
            a=candidate:what is this\r\na=end-of-candidates\r\n";
        let fragment = Fragment::read(text).expect("well formed");
        assert_eq!(fragment.ufrag.as_deref(), Some("EsAw"));
        assert_eq!(fragment.candidates, 2, "an unusable candidate is no error");
    }

    #[test]
    fn other_texts_are_malformed() {
        for text in [
            "",
            "hello",
            "v=0\r\n",
            "a=ice-ufrag:EsAw\r\n",
            &"a=x\r\n".repeat(9_000),
        ] {
            let refused = Fragment::read(text);
            assert!(
                matches!(refused, Err(Refused::MalformedFragment(_))),
                "{text:.20}"
            );
        }
    }
}
