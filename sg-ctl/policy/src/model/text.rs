//! What AWS takes as names, descriptions and tags (aws-semantics §1.6).

/// Most characters of a name or description (AWS N2, N9).
pub const MAX_LENGTH: usize = 255;
/// Signs that names and descriptions may hold besides letters and digits (AWS N3).
pub const SIGNS: &str = " ._-:/()#,@[]+=&;{}!$*";
/// Most tags of a group (AWS N10).
pub const MAX_TAGS: usize = 50;
/// Most characters of a tag's key (AWS N10).
pub const MAX_TAG_KEY: usize = 127;
/// Most characters of a tag's value (AWS N10).
pub const MAX_TAG_VALUE: usize = 256;

/// Whether names and descriptions may hold `sign`.
pub fn is_allowed(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || SIGNS.contains(sign)
}

/// Whether a key has a length that AWS takes.
pub fn is_tag_key(key: &str) -> bool {
    (1..=MAX_TAG_KEY).contains(&key.chars().count())
}

/// Whether a tag's key or value is one line of text: AWS takes letters, digits, spaces and some
/// signs, and what a terminal obeys, or nobody sees, is none of them.
pub fn is_tag_text(text: &str) -> bool {
    !text.chars().any(|sign| {
        // Controls, separators of lines, and marks of direction and of nothing.
        sign.is_control()
            || matches!(sign, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(sign, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    })
}

/// Whether a key belongs to AWS.
pub fn is_reserved(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("aws:")
}

/// Whether AWS takes this tag from its users.
pub fn is_tag(key: &str, value: &str) -> bool {
    is_tag_key(key)
        && !is_reserved(key)
        && value.chars().count() <= MAX_TAG_VALUE
        && is_tag_text(key)
        && is_tag_text(value)
}
