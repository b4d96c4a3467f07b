//! What people typed, made inert: without control, direction and invisible characters, so that it
//! cannot act on a page, a terminal or a log line. It refuses to know what a text means.

use crate::limits::COMBINING_MARKS_MAX;

/// One line of plain text: control, direction and invisible characters are gone, runs of white
/// space are one space, marks are not piled up, ends are trimmed. May be empty.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut marks = 0;
    let mut space = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_whitespace() {
            space = true;
            continue;
        }
        let joins = letter == ZERO_WIDTH_JOINER
            && !space
            && cleaned.chars().next_back().is_some_and(is_pictograph)
            && letters.peek().copied().is_some_and(is_pictograph);
        if is_invisible(letter) && !joins {
            continue;
        }
        marks = if is_combining(letter) { marks + 1 } else { 0 };
        if marks > COMBINING_MARKS_MAX {
            continue;
        }
        if space && !cleaned.is_empty() {
            cleaned.push(' ');
        }
        space = false;
        cleaned.push(letter);
    }
    cleaned
}

/// A display name: [`clean`], and at most `chars_max` characters. Empty when nothing is left.
#[must_use]
pub fn clean_name(name: &str, chars_max: usize) -> String {
    clean(name)
        .chars()
        .take(chars_max)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// Control characters, and what Unicode draws as nothing: direction marks and overrides, joiners,
/// fillers, tags, byte order marks.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}'
            | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0E}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Emoji and what follows one: only between these does a joiner make one picture of two.
fn is_pictograph(letter: char) -> bool {
    matches!(letter,
        '\u{FE0F}' | '\u{2190}'..='\u{2BFF}' | '\u{1F000}'..='\u{1FAFF}')
}

fn is_combining(letter: char) -> bool {
    matches!(letter,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' | '\u{0591}'..='\u{05BD}'
        | '\u{0610}'..='\u{061A}' | '\u{064B}'..='\u{065F}' | '\u{0E31}' | '\u{0E34}'..='\u{0E3A}'
        | '\u{0E47}'..='\u{0E4E}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FE0F}' | '\u{FE20}'..='\u{FE2F}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_act_is_gone() {
        assert_eq!(clean("  ciao \n\t bella  "), "ciao bella");
        assert_eq!(clean("abc\u{202E}fdp.exe\u{202C}"), "abcfdp.exe");
        assert_eq!(clean("\u{1b}[31mred\u{7}\0"), "[31mred");
        assert_eq!(clean("a\u{200B}b\u{FEFF}c\u{2066}d\u{00AD}e"), "abcde");
        assert_eq!(clean("line\u{2028}separator"), "line separator");
        assert_eq!(clean("\u{3164}\u{2800}\u{200B}"), "");
        assert_eq!(clean("tag\u{E0041}"), "tag");
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "perché no? è così",
            "<b>not markup here</b>",
            "👩‍👩‍👧 ❤️ 👍🏽",
            "日本語",
            "שלום",
        ] {
            assert_eq!(clean(text), text);
        }
        assert_eq!(
            clean("a\u{200D}b"),
            "ab",
            "a joiner outside an emoji is invisible"
        );
    }

    #[test]
    fn marks_are_not_piled_up() {
        let pile = format!("z{}", "\u{0301}".repeat(50));
        assert_eq!(clean(&pile).chars().count(), 1 + COMBINING_MARKS_MAX);
    }

    #[test]
    fn names_are_cut_and_trimmed() {
        assert_eq!(clean_name("  Anna   Maria ", 5), "Anna");
        assert_eq!(clean_name("\u{202E}", 40), "");
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(text in "\\PC{0,40}|[\u{0}-\u{2FFF}]{0,40}") {
            let once = clean(&text);
            prop_assert_eq!(clean(&once), once.clone());
            prop_assert!(!once.chars().any(char::is_control));
            let acts = once.contains(['\u{202E}', '\u{2067}', '\u{200B}', '\u{FEFF}']);
            prop_assert!(!acts);
            prop_assert!(!once.starts_with(' ') && !once.ends_with(' '));
        }
    }
}
