//! Answers as XML, with AWS's names.

use std::borrow::Cow;

/// An element's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Text.
    Text(String),
    /// Elements by name, in order.
    Fields(Vec<(&'static str, Node)>),
    /// Elements called `item`.
    List(Vec<Node>),
}

impl Node {
    /// An element's content that is text.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "literals, numbers and references alike"
    )]
    pub fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    /// Elements of these names.
    pub fn fields(fields: impl IntoIterator<Item = (&'static str, Node)>) -> Self {
        Self::Fields(fields.into_iter().collect())
    }

    /// A list of items.
    pub fn list(items: impl IntoIterator<Item = Node>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// `<return>true</return>`.
    pub fn done() -> Self {
        Self::fields([("return", Self::text(true))])
    }

    /// This with one more element.
    #[must_use]
    pub fn with(mut self, name: &'static str, node: Node) -> Self {
        if let Self::Fields(fields) = &mut self {
            fields.push((name, node));
        }
        self
    }

    /// This with one more element, if there is one.
    #[must_use]
    pub fn with_some(self, name: &'static str, node: Option<Node>) -> Self {
        match node {
            Some(node) => self.with(name, node),
            None => self,
        }
    }

    /// The text of an element of this.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let Self::Fields(fields) = self else {
            return None;
        };
        fields
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, node)| node)
    }

    /// Writes it below what is written already.
    pub fn write(&self, to: &mut String) {
        match self {
            Self::Text(text) => to.push_str(&escape(text)),
            Self::Fields(fields) => {
                for (name, node) in fields {
                    element(to, name, node);
                }
            }
            Self::List(items) => {
                for item in items {
                    element(to, "item", item);
                }
            }
        }
    }
}

fn element(to: &mut String, name: &str, node: &Node) {
    to.push('<');
    to.push_str(name);
    to.push('>');
    node.write(to);
    to.push_str("</");
    to.push_str(name);
    to.push('>');
}

/// A document whose root element has this name and these attributes.
pub fn document(root: &str, attributes: &str, content: &Node) -> String {
    let mut text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}{attributes}>");
    content.write(&mut text);
    text.push_str("</");
    text.push_str(root);
    text.push('>');
    text
}

/// Text in which nothing is markup. What XML 1.0 cannot hold at all becomes U+FFFD.
fn escape(text: &str) -> Cow<'_, str> {
    let is_plain = |sign: char| {
        !matches!(
            sign,
            '&' | '<' | '>' | '"' | '\'' | '\r' | '\u{fffe}' | '\u{ffff}'
        ) && (!sign.is_control() || matches!(sign, '\t' | '\n' | '\u{7f}'..='\u{9f}'))
    };
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\r' => escaped.push_str("&#13;"),
            sign if is_plain(sign) => escaped.push(sign),
            _ => escaped.push('\u{fffd}'),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_no_markup_but_its_own() {
        let node = Node::fields([("a", Node::list([Node::text("<b>&\"'\u{0}")]))]);
        let text = document("Answer", " xmlns=\"n\"", &node);
        let body = text.split_once('\n').expect("a declaration").1;
        let item = "<item>&lt;b&gt;&amp;&quot;&apos;\u{fffd}</item>";
        assert_eq!(body, format!("<Answer xmlns=\"n\"><a>{item}</a></Answer>"));
    }
}
