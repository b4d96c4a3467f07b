//! Which comments are let through. It refuses to know who reads them and how they are sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vetrina_protocol::COMMENT_CHARS_MAX;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{CommentId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::Role;

use crate::limits::{
    COMMENT_BURST, COMMENT_DEDUP_MS, COMMENTERS_MAX, COMMENTS_PER_MINUTE, MUTED_MAX, Rate,
    SLOW_MODE_S_MAX, TokenBucket,
};
use crate::refused::Refused;
use crate::text;

const RATE: Rate = Rate {
    burst: COMMENT_BURST,
    per_minute: COMMENTS_PER_MINUTE,
};

/// The gate of one show's comments: who is muted, how slow, and what was said a moment ago.
#[derive(Debug, Clone, Default)]
pub struct CommentGate {
    slow_mode_s: u32,
    muted: BTreeSet<UserId>,
    muted_order: VecDeque<UserId>,
    said: BTreeMap<UserId, Said>,
    /// The same people by the time of their last comment, to forget the longest silent.
    by_time: BTreeSet<(UnixMs, UserId)>,
}

#[derive(Debug, Clone)]
struct Said {
    comment: CommentId,
    at: UnixMs,
    text: String,
    bucket: TokenBucket,
}

impl CommentGate {
    /// Open to all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes mutes and slow mode from the show's log, or from a snapshot's fields told as events.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::ViewerMuted {
                viewer,
                muted: true,
            } if self.muted.insert(*viewer) => {
                self.muted_order.push_back(*viewer);
                if self.muted_order.len() > MUTED_MAX
                    && let Some(forgotten) = self.muted_order.pop_front()
                {
                    self.muted.remove(&forgotten);
                }
            }
            Event::ViewerMuted {
                viewer,
                muted: false,
            } => {
                self.muted.remove(viewer);
                self.muted_order.retain(|kept| kept != viewer);
            }
            Event::SlowModeChanged { seconds } => self.slow_mode_s = *seconds,
            _ => {}
        }
    }

    /// Decides one comment and gives its text as everybody may see it. A comment let through
    /// counts at once; if it is not logged in the end, its author may send the same one again.
    ///
    /// # Errors
    /// `invalid` (empty or too long), `muted`, `slow_mode`, `duplicate_comment`, `rate_limited`.
    /// Hosts and moderators are never muted or slowed.
    pub fn admit(
        &mut self,
        now: UnixMs,
        comment: CommentId,
        author: UserId,
        role: Role,
        raw: &str,
    ) -> Result<String, Refused> {
        let text = check_text(raw)?;
        let staff = matches!(role, Role::Host | Role::Moderator);
        if !staff && self.muted.contains(&author) {
            return Err(Refused::new(
                RefusalCode::Muted,
                "a moderator has muted you in this show; you can still watch and buy",
            ));
        }
        let mut bucket = TokenBucket::new(RATE, now);
        if let Some(last) = self.said.get(&author) {
            if last.comment == comment {
                return Ok(text);
            }
            if !staff {
                self.refuse_if_slow(now, last.at)?;
            }
            refuse_if_repeated(now, last, &text)?;
            bucket = last.bucket;
        }
        bucket.take(now).map_err(|wait_ms| {
            let message = "you are commenting very fast; wait a moment";
            Refused::for_now(RefusalCode::RateLimited, message, wait_ms)
        })?;
        let said = Said {
            comment,
            at: now,
            text: text.clone(),
            bucket,
        };
        self.remember(author, said);
        Ok(text)
    }

    fn refuse_if_slow(&self, now: UnixMs, last: UnixMs) -> Result<(), Refused> {
        let free_at = last.plus_ms(i64::from(self.slow_mode_s) * 1_000);
        match u64::try_from(free_at.since(now)) {
            Ok(wait_ms) if wait_ms > 0 => Err(Refused::for_now(
                RefusalCode::SlowMode,
                format!("slow mode: one comment every {} s", self.slow_mode_s),
                wait_ms,
            )),
            _ => Ok(()),
        }
    }

    fn remember(&mut self, author: UserId, said: Said) {
        let now = said.at;
        if let Some(before) = self.said.insert(author, said) {
            self.by_time.remove(&(before.at, author));
        }
        self.by_time.insert((now, author));
        if self.said.len() > COMMENTERS_MAX
            && let Some((_, forgotten)) = self.by_time.pop_first()
        {
            self.said.remove(&forgotten);
        }
    }
}

fn refuse_if_repeated(now: UnixMs, last: &Said, text: &str) -> Result<(), Refused> {
    if last.text == text && now.since(last.at) < COMMENT_DEDUP_MS {
        return Err(Refused::new(
            RefusalCode::DuplicateComment,
            "you said the same a moment ago; it is on the screen",
        ));
    }
    Ok(())
}

/// The text as everybody may see it.
///
/// # Errors
/// `invalid` when nothing visible is left, or more than [`COMMENT_CHARS_MAX`] characters are.
pub fn check_text(raw: &str) -> Result<String, Refused> {
    let text = text::clean(raw);
    let chars = text.chars().count();
    if chars == 0 {
        return Err(Refused::new(
            RefusalCode::Invalid,
            "text: write something first",
        ));
    }
    if chars > COMMENT_CHARS_MAX {
        return Err(Refused::new(
            RefusalCode::Invalid,
            format!("text: {chars} characters are too many; at most {COMMENT_CHARS_MAX}"),
        ));
    }
    Ok(text)
}

/// Checks slow mode's pause.
///
/// # Errors
/// `invalid` beyond [`SLOW_MODE_S_MAX`].
pub fn check_slow_mode(seconds: u32) -> Result<(), Refused> {
    if seconds <= SLOW_MODE_S_MAX {
        return Ok(());
    }
    Err(Refused::new(
        RefusalCode::Invalid,
        format!("seconds: must be from 0 to {SLOW_MODE_S_MAX}, not {seconds}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: UserId = UserId(1);
    const BRUNO: UserId = UserId(2);

    /// A comment of its own each time.
    fn say(gate: &mut CommentGate, at: i64, who: UserId, text: &str) -> Result<String, Refused> {
        let comment = CommentId(uuid(at, who, text));
        gate.admit(UnixMs(at), comment, who, Role::Viewer, text)
    }

    fn uuid(at: i64, who: UserId, text: &str) -> u128 {
        let text = text
            .bytes()
            .fold(0, |sum, byte| sum * 31 + u128::from(byte));
        (u128::from(at.unsigned_abs()) << 64) + (who.0 << 32) + text
    }

    fn code(result: Result<String, Refused>) -> (RefusalCode, Option<u64>) {
        let refused = result.unwrap_err();
        (refused.code, refused.retry_after_ms)
    }

    #[test]
    fn length_is_counted_in_characters_after_cleaning() {
        assert_eq!(check_text("  è  "), Ok("è".to_owned()));
        assert_eq!(code(check_text(" \u{200B} ")).0, RefusalCode::Invalid);
        assert!(check_text(&"è".repeat(300)).is_ok());
        assert_eq!(code(check_text(&"è".repeat(301))).0, RefusalCode::Invalid);
    }

    #[test]
    fn slow_mode_says_how_long_and_spares_hosts() {
        let mut gate = CommentGate::new();
        gate.observe(&Event::SlowModeChanged { seconds: 30 });
        say(&mut gate, 0, ANNA, "one").unwrap();
        let refused = code(say(&mut gate, 10_000, ANNA, "two"));
        assert_eq!(refused, (RefusalCode::SlowMode, Some(20_000)));
        say(&mut gate, 10_000, BRUNO, "two").unwrap();
        say(&mut gate, 30_000, ANNA, "two").unwrap();
        for (at, text) in [(0_u8, "host one"), (1, "host two")] {
            let comment = CommentId(at.into());
            gate.admit(UnixMs(at.into()), comment, UserId(9), Role::Host, text)
                .unwrap();
        }
    }

    #[test]
    fn the_same_words_within_ten_seconds_are_refused() {
        let mut gate = CommentGate::new();
        say(&mut gate, 0, ANNA, "bello").unwrap();
        let refused = code(say(&mut gate, 9_999, ANNA, " bello\u{200B} "));
        assert_eq!(refused.0, RefusalCode::DuplicateComment);
        say(&mut gate, 9_999, BRUNO, "bello").unwrap();
        say(&mut gate, 10_000, ANNA, "bello").unwrap();
    }

    #[test]
    fn the_same_comment_again_is_not_the_same_words_again() {
        let mut gate = CommentGate::new();
        gate.observe(&Event::SlowModeChanged { seconds: 30 });
        let mut again = |comment, at| {
            let comment = CommentId(comment);
            gate.admit(UnixMs(at), comment, ANNA, Role::Viewer, "bello")
        };
        again(1, 0).unwrap();
        again(1, 1).unwrap();
        assert_eq!(code(again(2, 2)).0, RefusalCode::SlowMode);
    }

    #[test]
    fn nobody_floods() {
        let mut gate = CommentGate::new();
        for n in 0..COMMENT_BURST {
            say(&mut gate, 0, ANNA, &n.to_string()).unwrap();
        }
        assert_eq!(
            code(say(&mut gate, 0, ANNA, "x")),
            (RefusalCode::RateLimited, Some(2_000))
        );
        say(&mut gate, 2_000, ANNA, "x").unwrap();
    }

    #[test]
    fn muted_until_allowed_again() {
        let mut gate = CommentGate::new();
        let mute = |muted| Event::ViewerMuted {
            viewer: ANNA,
            muted,
        };
        gate.observe(&mute(true));
        assert_eq!(code(say(&mut gate, 0, ANNA, "x")).0, RefusalCode::Muted);
        gate.admit(UnixMs(0), CommentId(1), ANNA, Role::Moderator, "x")
            .unwrap();
        gate.observe(&mute(false));
        say(&mut gate, 20_000, ANNA, "x").unwrap();
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_longest_silent() {
        let mut gate = CommentGate::new();
        for n in 0..=COMMENTERS_MAX {
            say(&mut gate, n as i64, UserId(n as u128), "ciao").unwrap();
        }
        assert_eq!(gate.said.len(), COMMENTERS_MAX);
        assert_eq!(gate.by_time.len(), COMMENTERS_MAX);
        assert!(!gate.said.contains_key(&UserId(0)));
        assert!(gate.said.contains_key(&UserId(1)));
    }
}
