//! The files of the repository, and the words of Rust source outside comments and strings.

use std::{fs, path::Path, str::FromStr};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A file of the repository.
pub(crate) struct File {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl File {
    /// Returns whether the file's name ends in `.extension`.
    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|own| own == extension)
    }
}

/// Returns all text files of the repository, but for what builds leave behind.
pub(crate) fn repository() -> Vec<File> {
    let mut files = Vec::new();
    collect(&super::root(), "", &mut files);
    assert!(files.len() > 50, "the repository has more files than that");
    files
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let entry = entry.expect("a readable directory");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("a file has a type");
        if ["target", ".git"].contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() {
            // What is not text is not ours to judge.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(File { path, text });
            }
        }
    }
}

/// A word of source code.
pub(crate) struct Word {
    /// An identifier, or `name()` for a function's call, `name!` for a macro's, `#name` for an
    /// attribute.
    pub(crate) word: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// Returns the words of a Rust file; of files and items that are tests, calls and attributes only.
pub(crate) fn words(file: &File) -> Vec<Word> {
    let tokens = TokenStream::from_str(&file.text)
        .unwrap_or_else(|error| panic!("{}: does not parse: {error}", file.path));
    let mut words = Vec::new();
    let is_test = file.path.ends_with("/tests.rs");
    walk(tokens, is_test, &mut words);
    words
}

fn walk(tokens: TokenStream, is_test: bool, words: &mut Vec<Word>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    // Whether the item that begins here is under `#[cfg(test)]`: to its block or semicolon.
    let mut is_test_item = false;
    for (index, token) in tokens.iter().enumerate() {
        let line = token.span().start().line;
        match token {
            TokenTree::Ident(ident) => {
                match tokens.get(index + 1) {
                    Some(TokenTree::Punct(punct)) if punct.as_char() == '!' => {
                        words.push(Word {
                            word: format!("{ident}!"),
                            line,
                        });
                    }
                    Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis =>
                    {
                        words.push(Word {
                            word: format!("{ident}()"),
                            line,
                        });
                    }
                    _ => {}
                }
                if !is_test && !is_test_item {
                    words.push(Word {
                        word: ident.to_string(),
                        line,
                    });
                }
            }
            TokenTree::Group(group) => {
                let is_attribute = group.delimiter() == Delimiter::Bracket
                    && matches!(index.checked_sub(1).map(|before| &tokens[before]),
                        Some(TokenTree::Punct(punct)) if matches!(punct.as_char(), '#' | '!'));
                let content = group.stream();
                if is_attribute {
                    if let Some(name) = content.clone().into_iter().next() {
                        words.push(Word {
                            word: format!("#{name}"),
                            line,
                        });
                    }
                    let attribute: String = content.to_string().split_whitespace().collect();
                    is_test_item |= attribute == "cfg(test)";
                } else {
                    walk(content, is_test || is_test_item, words);
                    is_test_item &= group.delimiter() != Delimiter::Brace;
                }
            }
            TokenTree::Punct(punct) => is_test_item &= punct.as_char() != ';',
            TokenTree::Literal(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let file = File {
            path: "a.rs".into(),
            text: text.into(),
        };
        words(&file).into_iter().map(|word| word.word).collect()
    }

    #[test]
    fn comments_strings_and_tests_hold_no_words() {
        assert_eq!(
            found("//! aya\nuse a::b; // std\n"),
            ["#doc", "use", "a", "b"]
        );
        assert_eq!(found("const A: &str = \"aya\";"), ["const", "A", "str"]);
        assert_eq!(
            found("#[cfg(test)] mod t { use std; x!(); } fn f() {}"),
            ["#cfg", "x!", "fn", "f()", "f"]
        );
        assert_eq!(
            found("#[cfg(test)] mod t; use std;"),
            ["#cfg", "use", "std"]
        );
    }

    #[test]
    fn calls_and_attributes_are_told_apart() {
        assert_eq!(
            found("#[ignore] fn f() { vec![] }"),
            ["#ignore", "fn", "f()", "f", "vec!", "vec"]
        );
    }
}
