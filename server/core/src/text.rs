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
        let before = cleaned.chars().next_back().filter(|_| !space);
        if is_invisible(letter) && !joins(before, letter, letters.peek().copied()) {
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
        // The cut may have taken what a joiner joined.
        .trim_end_matches([' ', ZERO_WIDTH_NON_JOINER, ZERO_WIDTH_JOINER])
        .to_owned()
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200C}';
const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// Whether this is a joiner that changes what is read: between two emoji, or in a word of a script
/// whose letters join (the plural of Persian, a half form of Devanagari). Anywhere else it would
/// only hide in the text.
fn joins(before: Option<char>, joiner: char, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    // What could be dropped in its turn does not keep a joiner.
    if is_combining(after) || is_invisible(after) {
        return false;
    }
    match joiner {
        ZERO_WIDTH_JOINER if is_pictograph(before) && is_pictograph(after) => true,
        // One side is enough: in Persian a foreign word or a number takes its ending so.
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => {
            is_of_word(before)
                && is_of_word(after)
                && (is_of_joining_script(before) || is_of_joining_script(after))
        }
        _ => false,
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || is_virama(letter)
}

/// Arabic, Syriac, N'Ko and their like; the scripts of India, Sri Lanka, Myanmar and Cambodia;
/// Mongolian, Phags-pa; the presentation forms of Arabic.
fn is_of_joining_script(letter: char) -> bool {
    matches!(letter,
        '\u{0620}'..='\u{0DFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{18AF}'
        | '\u{A840}'..='\u{A87F}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

/// The sign that takes the vowel from a letter and so makes it join: no letter by itself.
fn is_virama(letter: char) -> bool {
    matches!(
        letter,
        '\u{094D}'
            | '\u{09CD}'
            | '\u{0A4D}'
            | '\u{0ACD}'
            | '\u{0B4D}'
            | '\u{0BCD}'
            | '\u{0C4D}'
            | '\u{0CCD}'
            | '\u{0D4D}'
            | '\u{0DCA}'
            | '\u{1039}'
            | '\u{103A}'
            | '\u{17D2}'
    )
}

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
    }

    #[test]
    fn joiners_stay_where_they_change_what_is_read() {
        for text in [
            "می\u{200C}خواهم",
            "کتاب\u{200C}هایشان را",
            "pdf\u{200C}ها ۵\u{200C}تا",
            "مَ\u{200C}ن",
            "क्\u{200D}ष क्\u{200C}ष",
            "ශ්\u{200D}රී",
            "র\u{200D}্য",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn lonely_joiners_are_gone() {
        for (text, left) in [
            ("a\u{200D}b", "ab"),
            ("fr\u{200C}ee", "free"),
            ("\u{200C}می", "می"),
            ("می\u{200C}", "می"),
            ("می \u{200C}خواهم", "می خواهم"),
            ("می\u{200C} خواهم", "می خواهم"),
            ("می\u{200C}\u{200C}\u{200D}خواهم", "می\u{200D}خواهم"),
            ("می\u{200C}.", "می."),
            ("می\u{202E}\u{200C}\u{202C}خواهم", "میخواهم"),
            ("می\u{200C}\u{064E}\u{064E}", "می\u{064E}\u{064E}"),
            ("👍\u{200C}👍", "👍👍"),
            ("👍\u{200D}\u{FE0F}", "👍\u{FE0F}"),
        ] {
            assert_eq!(clean(text), left, "{text:?}");
        }
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
        assert_eq!(clean_name("می\u{200C}خواهم", 3), "می");
    }

    const TEXTS: &str = "\\PC{0,40}|[\u{0}-\u{2FFF}]{0,40}|\
        [a میक्ष.\u{301}\u{64E}\u{FE0F}👍\u{200C}\u{200D}\u{202E}]{0,12}";

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(text in TEXTS) {
            let once = clean(&text);
            prop_assert_eq!(clean(&once), once.clone());
            prop_assert!(!once.chars().any(char::is_control));
            let acts = once.contains(['\u{202E}', '\u{2067}', '\u{200B}', '\u{FEFF}']);
            prop_assert!(!acts);
            prop_assert!(!once.starts_with(' ') && !once.ends_with(' '));
        }
    }
}
