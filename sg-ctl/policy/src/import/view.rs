//! Values of a foreign document, each with the keys that lead to it.
//!
//! A value of the wrong kind is reported, never taken for an absent one.

use std::rc::Rc;

use super::values;
use crate::text::document::{Node, Value};
use crate::text::report::{At, Problems};

/// A value and its path.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> View<'a> {
    /// The value at the root of a document.
    pub(super) const fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    /// A value that keys of its own lead to no more: its tree is taken apart.
    pub(super) const fn of(node: &'a Node, path: String) -> Self {
        Self { node, path }
    }

    /// The same value under a path that says more to its reader than the keys do.
    pub(super) fn called(self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self
        }
    }

    /// The place for reports.
    pub(super) fn at(&self) -> At {
        At {
            span: self.node.span,
            field: self.path.clone(),
        }
    }

    /// What the value is.
    pub(super) const fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// The value under a key; `null` is as good as none.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let Value::Mapping(entries) = &self.node.value else {
            return None;
        };
        let is_wanted = |node: &Node| matches!(&node.value, Value::Scalar(text) if **text == *key);
        let (_, node) = entries.iter().find(|(name, _)| is_wanted(name))?;
        (!matches!(node.value, Value::Null)).then(|| self.child(key, node))
    }

    fn child(&self, key: &str, node: &'a Node) -> Self {
        let path = match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        Self { node, path }
    }

    /// The entries of a mapping, none for any other value.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        let Value::Mapping(entries) = &self.node.value else {
            return Vec::new();
        };
        let named = entries.iter().filter_map(|(key, node)| match &key.value {
            Value::Scalar(key) => Some((&**key, self.child(key, node))),
            _ => None,
        });
        named.collect()
    }

    /// The items of a list, none for any other value.
    pub(super) fn items(&self) -> Vec<Self> {
        self.each().collect()
    }

    /// The items of a list, one after the other: it may have hundreds of thousands.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> + use<'a> {
        let items: &'a [Node] = match &self.node.value {
            Value::List(items) => items,
            _ => &[],
        };
        let path = self.path.clone();
        items.iter().enumerate().map(move |(index, node)| Self {
            node,
            path: format!("{path}[{index}]"),
        })
    }

    /// Whether this is nothing, or a collection of nothing.
    pub(super) fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::Null => true,
            Value::Scalar(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Mapping(entries) => entries.is_empty(),
        }
    }

    /// The text of a scalar.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The text under a key, as it is kept: whoever takes it shares it with the tree.
    pub(super) fn shared(&self, key: &str) -> Option<Rc<str>> {
        match &self.get(key)?.node.value {
            Value::Scalar(text) => Some(Rc::clone(text)),
            _ => None,
        }
    }

    /// The items of the list under a key; none if the key is not there.
    pub(super) fn list(
        &self,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let view = self.get(key);
        if let Some(view) = &view
            && !matches!(view.value(), Value::List(_))
        {
            let help = "this is not what the tool writes: was the file edited or cut off?";
            problems.error(&view.at(), "a list should stand here", help);
        }
        view.into_iter().flat_map(|view| view.each())
    }

    /// The text under a key; `None` if the key is not there.
    pub(super) fn text(&self, key: &str, problems: &mut Problems<'_>) -> Option<&'a str> {
        let view = self.get(key)?;
        let text = view.as_text();
        if text.is_none() {
            let help = "this is not what the tool writes: was the file edited or cut off?";
            problems.error(&view.at(), "one word or text should stand here", help);
        }
        text
    }

    /// The text under a key that must be there.
    pub(super) fn required(&self, key: &str, problems: &mut Problems<'_>) -> Option<&'a str> {
        if self.get(key).is_none() {
            let help = "this is not what the tool writes: was the file edited or cut off?";
            problems.error(&self.at(), format!("`{key}` is missing"), help);
        }
        self.text(key, problems)
    }

    /// The number under a key; `None` if the key is not there.
    pub(super) fn number(&self, key: &str, problems: &mut Problems<'_>) -> Option<i64> {
        let text = self.text(key, problems)?;
        let at = self.get(key).map_or_else(|| self.at(), |view| view.at());
        values::number(text, &at, problems)
    }

    /// Reports keys that say something nobody here understands.
    pub(super) fn warn_of_others(&self, known: &[&str], problems: &mut Problems<'_>) {
        for (key, view) in self.entries() {
            if !known.contains(&key) && !view.is_empty() {
                let help = "look whether it narrows or widens what is allowed";
                problems.warning(
                    &view.at(),
                    "unknown to the importer: not carried over",
                    help,
                );
            }
        }
    }
}
