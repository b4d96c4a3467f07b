//! Rust source without what is not code. Knows just enough of the language to tell comments,
//! strings and characters from the rest.

/// The source with the inside of comments and literals blanked; lines stay where they are.
pub(crate) fn code_only(source: &str) -> String {
    let characters: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < characters.len() {
        let end = literal_or_comment(&characters, at);
        if end == at {
            code.push(characters[at]);
            at += 1;
        } else {
            let blank = |character: &char| if *character == '\n' { '\n' } else { ' ' };
            code.extend(characters[at..end].iter().map(blank));
            at = end;
        }
    }
    code
}

/// Where the comment or literal that starts at `at` ends, or `at` if none starts there.
fn literal_or_comment(text: &[char], at: usize) -> usize {
    let next = |offset: usize| text.get(at + offset).copied().unwrap_or('\0');
    let in_word = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
    match text[at] {
        '/' if next(1) == '/' => find(text, at, |rest| rest[0] == '\n'),
        '/' if next(1) == '*' => block_comment(text, at),
        '"' => string(text, at),
        'r' if !in_word && (next(1) == '"' || next(1) == '#') => raw_string(text, at),
        // 'a' is a character, 'a a lifetime.
        '\'' if next(1) == '\\' => find(text, at + 3, |rest| rest[0] == '\'') + 1,
        '\'' if next(2) == '\'' => at + 3,
        _ => at,
    }
}

fn find(text: &[char], from: usize, here: impl Fn(&[char]) -> bool) -> usize {
    (from..text.len())
        .find(|at| here(&text[*at..]))
        .unwrap_or(text.len())
}

fn block_comment(text: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0_usize, at);
    while end < text.len() {
        match (text[end], text.get(end + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                end += 1;
                continue;
            }
        }
        end += 2;
        if depth == 0 {
            break;
        }
    }
    end.min(text.len())
}

fn string(text: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < text.len() && text[end] != '"' {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(text.len())
}

fn raw_string(text: &[char], at: usize) -> usize {
    let hashes = text[at + 1..]
        .iter()
        .take_while(|character| **character == '#')
        .count();
    if text.get(at + 1 + hashes) != Some(&'"') {
        return at; // r#name, an identifier
    }
    let ends = |rest: &[char]| {
        rest[0] == '"'
            && rest[1..]
                .iter()
                .take_while(|character| **character == '#')
                .count()
                >= hashes
    };
    (find(text, at + 2 + hashes, ends) + 1 + hashes).min(text.len())
}

/// The 1-based line that `offset` (in bytes) lies in.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

#[test]
fn only_code_is_left() {
    let source = "a /* b /* c */ d */ e // f\n\"g\\\" h\" i r#\"j \" k\"# 'l' 'm '\\n' n r#type";
    let code = code_only(source);
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "e", "i", "'m", "n", "r#type"]);
    assert_eq!(code.lines().count(), source.lines().count());
}
