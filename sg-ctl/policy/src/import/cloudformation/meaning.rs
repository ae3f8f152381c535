//! What values of a template come to, as far as they are known.

use std::collections::BTreeSet;

use crate::import::view::View;
use crate::text::document::Value;

/// Bytes of a text: CloudFormation takes no longer values of parameters.
pub(super) const MAX_TEXT: usize = 4096;
/// Causes that are kept of one value.
const MAX_CAUSES: usize = 8;

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Text, numbers included.
    Text(String),
    /// Several values.
    List(Vec<Meaning>),
    /// A group or prefix list of a template, by the key that drafts call it.
    Resource(String),
    /// `AWS::NoValue`.
    Nothing,
    /// Something that only a stack knows.
    Unknown(Unknown),
}

/// A value that only a stack knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The same for the same value, and for no other.
    pub(super) key: String,
    /// Words for it.
    pub(super) words: String,
    /// What would make it known.
    pub(super) causes: Causes,
    /// Whether it is of a resource that may not be made.
    pub(super) is_unmade: bool,
}

/// What makes a value unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A parameter or pseudo parameter.
    Parameter(String),
    /// An export of another stack.
    Import(String),
    /// What no option gives.
    Stack(String),
}

/// What makes a value unknown; of many, some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Causes(BTreeSet<Cause>);

impl Causes {
    /// A single cause.
    pub(super) fn of(cause: Cause) -> Self {
        Self(BTreeSet::from([cause]))
    }

    /// Adds others.
    pub(super) fn add(&mut self, others: &Self) {
        for cause in &others.0 {
            if self.0.len() < MAX_CAUSES {
                self.0.insert(cause.clone());
            }
        }
    }

    /// Whether there is none: the value is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, such as `` `Stage`, `AWS::Region` ``.
    pub(super) fn names(&self) -> String {
        let names = self.0.iter().map(|cause| match cause {
            Cause::Parameter(name) | Cause::Import(name) | Cause::Stack(name) => {
                format!("`{name}`")
            }
        });
        names.collect::<Vec<_>>().join(", ")
    }

    /// The options that would make the value known, or what to do instead.
    pub(super) fn remedy(&self) -> String {
        let options = self.0.iter().filter_map(|cause| match cause {
            Cause::Parameter(name) => Some(format!("--parameter {name}=VALUE")),
            Cause::Import(name) => Some(format!("--import {name}=VALUE")),
            Cause::Stack(_) => None,
        });
        let options: Vec<_> = options.collect();
        let describe = "import what `aws ec2 describe-security-groups` prints of the stack";
        match options.len() {
            0 => describe.to_owned(),
            count if count < self.0.len() => {
                format!("{describe}; {} alone is not enough", options.join(" "))
            }
            _ => format!("give {}, or {describe}", options.join(" ")),
        }
    }
}

impl Meaning {
    /// A text, unless it stands for one that is kept elsewhere.
    pub(super) fn text(text: &str) -> Self {
        if text.len() > MAX_TEXT {
            let words = format!("a text of more than {MAX_TEXT} bytes");
            return Self::unknown(format!("long:{text}"), words.clone(), Cause::Stack(words));
        }
        if text.contains("{{resolve:") {
            return Self::unknown(
                text.to_owned(),
                text.to_owned(),
                Cause::Stack(text.to_owned()),
            );
        }
        Self::Text(text.to_owned())
    }

    /// A value that is not known for one cause.
    pub(super) fn unknown(key: String, words: String, cause: Cause) -> Self {
        Self::Unknown(Unknown {
            key,
            words,
            causes: Causes::of(cause),
            is_unmade: false,
        })
    }

    /// Why the value is not known, or a part of it.
    pub(super) fn causes(&self) -> Causes {
        let mut causes = Causes::default();
        match self {
            Self::Unknown(unknown) => causes.add(&unknown.causes),
            Self::List(items) => items.iter().for_each(|item| causes.add(&item.causes())),
            Self::Text(_) | Self::Resource(_) | Self::Nothing => {}
        }
        causes
    }

    /// The text, or words in its place.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::List(items) => {
                let texts: Vec<_> = items.into_iter().map(Self::into_text).collect();
                cut(&texts.join(","))
            }
            Self::Nothing => String::new(),
            // What `Fn::Sub` could not fill in is marked already.
            Self::Unknown(unknown) if unknown.words.contains("${") => unknown.words,
            Self::Unknown(unknown) => format!("${{{}}}", unknown.words),
            Self::Resource(key) => {
                let id = key.rsplit_once('#').map_or(key.as_str(), |(_, id)| id);
                format!("${{{id}}}")
            }
        }
    }
}

/// A text as long as texts may be.
pub(super) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// An expression in words: `Select(0,Groups)` of `!Select [0, !Ref Groups]`.
pub(super) fn words(view: &View<'_>) -> String {
    let mut written = String::new();
    write(view, &mut written, false);
    cut(&written)
}

/// An expression as a text that no other expression has.
pub(super) fn key(view: &View<'_>) -> String {
    let mut written = String::new();
    write(view, &mut written, true);
    if written.len() > MAX_TEXT {
        // Too long to compare: no other place has the same.
        return format!("{}", view.at().span.start);
    }
    written
}

fn write(view: &View<'_>, written: &mut String, exactly: bool) {
    if written.len() > MAX_TEXT {
        return;
    }
    match view.value() {
        Value::Null => written.push_str("null"),
        Value::Scalar(text) if exactly => {
            written.extend(["\"", &text.escape_debug().to_string(), "\""]);
        }
        Value::Scalar(text) => written.push_str(text),
        Value::List(_) => {
            written.push('[');
            write_items(view, written, exactly);
            written.push(']');
        }
        Value::Mapping(_) => {
            for (name, value) in view.entries() {
                if exactly {
                    written.extend(["\"", &name.escape_debug().to_string(), "\":"]);
                    write(&value, written, exactly);
                    written.push(';');
                } else {
                    write_call(name, &value, written);
                }
            }
        }
    }
}

fn write_call(function: &str, value: &View<'_>, written: &mut String) {
    let is_bare = matches!(function, "Ref" | "Fn::Sub" | "Fn::GetAtt" | "Condition");
    if is_bare && value.as_text().is_some() {
        write(value, written, false);
        return;
    }
    written.push_str(function.strip_prefix("Fn::").unwrap_or(function));
    written.push('(');
    match value.value() {
        Value::List(_) => write_items(value, written, false),
        _ => write(value, written, false),
    }
    written.push(')');
}

fn write_items(view: &View<'_>, written: &mut String, exactly: bool) {
    for (index, item) in view.items().iter().enumerate() {
        if index > 0 {
            written.push(',');
        }
        write(item, written, exactly);
    }
}
