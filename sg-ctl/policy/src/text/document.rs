//! A YAML document as a tree in which every node knows its place.
//!
//! Scalars stay text: what `443` or `yes` means is decided by the key it stands under.

use std::collections::{HashMap, HashSet};
use std::mem::size_of;
use std::rc::Rc;

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Tag, options};

use super::places::Span;
use super::report::{At, Problems};
use super::{Source, slip};

/// Collections that may stand in each other: rule files need six, Terraform's state two for each
/// module in a module.
const MAX_DEPTH: usize = 64;
/// Nodes that aliases may add, so that a small file cannot become a huge tree.
const MAX_ALIASED_NODES: usize = 1_000_000;

// A document of 60 MB has five million of them.
const _: () = assert!(size_of::<Node>() == 32, "a tree is as large as its nodes");

/// One value of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: Value,
}

impl Node {
    /// Takes the items of the list under a key out of the tree; none when there is no such list.
    pub(crate) fn take_list(&mut self, key: &str) -> Box<[Self]> {
        let Value::Mapping(entries) = &mut self.value else {
            return Box::default();
        };
        let is_wanted = |name: &Self| matches!(&name.value, Value::Scalar(text) if **text == *key);
        let found = entries.iter_mut().find(|(name, _)| is_wanted(name));
        match found.map(|(_, node)| &mut node.value) {
            Some(Value::List(items)) => std::mem::take(items),
            _ => Box::default(),
        }
    }
}

/// The kinds of values.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing: an empty value, `null` or `~`.
    Null,
    /// Text, number or anything else that is one word.
    Scalar(Rc<str>),
    /// `[…]` or lines beginning with `-`.
    List(Box<[Node]>),
    /// `{…}` or lines of `key: value`. Keys may repeat.
    Mapping(Box<[(Node, Node)]>),
}

/// What tags such as `!Ref` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// Nothing: they are reported.
    Refused,
    /// CloudFormation's functions in short form. `!Ref x` becomes `{Ref: x}`, and `!Sub x`
    /// `{"Fn::Sub": x}`, as JSON writes them.
    Functions,
}

/// A collection that is being read.
struct Open {
    span: Span,
    content: Content,
    tag: Option<String>,
    anchor: usize,
    /// A key whose value has not come yet.
    key: Option<Node>,
    /// Nodes below it so far, those that aliases stand for included.
    size: usize,
}

/// What a collection holds so far.
enum Content {
    List(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// Builds the tree from parser events.
struct Builder<'p, 's> {
    /// Where the source begins.
    start: u32,
    tags: Tags,
    problems: &'p mut Problems<'s>,
    open: Vec<Open>,
    /// What aliases may repeat, with its size.
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    root: Option<Node>,
    /// Texts so far: keys and words repeat without end.
    texts: HashSet<Rc<str>>,
}

/// The keys and numbers that lead to what is read next.
fn path_to(open: &[Open]) -> String {
    let mut path = String::new();
    for collection in open {
        match (&collection.content, &collection.key) {
            (Content::List(items), _) => path.extend(["[", &items.len().to_string(), "]"]),
            (_, Some(key)) => {
                let dot = if path.is_empty() { "" } else { "." };
                let name = match &key.value {
                    Value::Scalar(name) => name,
                    _ => "?",
                };
                path.extend([dot, name]);
            }
            (_, None) => {}
        }
    }
    path
}

/// Reads the one document of a source, or reports why it cannot be read.
pub(crate) fn parse(
    file: usize,
    source: &Source,
    tags: Tags,
    problems: &mut Problems<'_>,
) -> Option<Node> {
    let Some(start) = problems.places().start_of(file) else {
        let help = "give them in several runs";
        problems.error(
            &At::NOWHERE,
            "the files together have more than 4 GiB",
            help,
        );
        return None;
    };
    let options = options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        emit_comments: false,
    };
    let mut builder = Builder {
        start,
        tags,
        problems,
        open: Vec::new(),
        anchors: HashMap::new(),
        aliased: 0,
        root: None,
        texts: HashSet::new(),
    };
    for event in Parser::new_from_str_with_options(&source.text, options) {
        match event {
            Ok((event, span)) => builder.accept(event, span)?,
            Err(error) => {
                let place = error.marker().byte_offset().unwrap_or_default();
                let at = At::outside_keys(builder.span(*error.marker(), *error.marker()));
                let help = slip::in_line(&source.text, place).unwrap_or(match tags {
                    Tags::Refused => {
                        "rule files are YAML; indent with spaces and quote text that holds `: `"
                    }
                    Tags::Functions => {
                        "JSON or YAML, and all of it, can be imported: was the file cut off?"
                    }
                });
                builder.problems.error(&at, error.info(), help);
                return None;
            }
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        let help = match tags {
            Tags::Refused => "begin with a section such as `security_groups:`",
            Tags::Functions => "did the command that was to write it fail?",
        };
        problems.error(&problems.start_of(file), "the file is empty", help);
    }
    root
}

impl Builder<'_, '_> {
    /// Takes one event; `None` after a report that ends the reading.
    fn accept(&mut self, event: Event<'_>, span: granit_parser::Span) -> Option<()> {
        let tag = self.function(event.tag(), span)?;
        let span = self.span(span.start, span.end);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let help = "put each document into a file of its own; files are merged";
                self.problems.error(
                    &At::outside_keys(span),
                    "a second document begins here",
                    help,
                );
                None
            }
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == ScalarStyle::Plain
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null {
                    Value::Null
                } else {
                    Value::Scalar(self.text(&text))
                };
                self.place(called(tag, Node { span, value }), anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(span, Content::List(Vec::new()), anchor, tag);
                Some(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(span, Content::Mapping(Vec::new()), anchor, tag);
                Some(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let closed = self.open.pop()?;
                if let Content::Mapping(entries) = &closed.content {
                    let open = &self.open;
                    let path = || path_to(open);
                    slip::in_keys(entries, path, self.tags, self.problems)?;
                }
                let end = span.end.max(closed.span.start);
                let node = Node {
                    span: Span { end, ..closed.span },
                    // Room for more is given back: documents hold many small collections.
                    value: match closed.content {
                        Content::List(items) => Value::List(items.into()),
                        Content::Mapping(entries) => Value::Mapping(entries.into()),
                    },
                };
                self.place(called(closed.tag, node), closed.anchor, closed.size + 1)
            }
            Event::Alias(id) => self.alias(span, id),
            _ => Some(()),
        }
    }

    /// A text, which is kept once.
    fn text(&mut self, text: &str) -> Rc<str> {
        if let Some(known) = self.texts.get(text) {
            return Rc::clone(known);
        }
        let new: Rc<str> = text.into();
        self.texts.insert(Rc::clone(&new));
        new
    }

    fn begin(&mut self, span: Span, content: Content, anchor: usize, tag: Option<String>) {
        self.open.push(Open {
            span,
            content,
            tag,
            anchor,
            key: None,
            size: 0,
        });
    }

    /// Puts a finished node of `size` nodes where it belongs.
    fn place(&mut self, node: Node, anchor: usize, size: usize) -> Option<()> {
        if anchor != 0 {
            self.repeat(node.span, size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        parent.size += size;
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Mapping(entries) => match parent.key.take() {
                None => parent.key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        Some(())
    }

    /// Counts nodes that are there once more, for an alias or in case one comes; `None` when they
    /// are too many.
    fn repeat(&mut self, span: Span, size: usize) -> Option<()> {
        self.aliased += size;
        if self.aliased <= MAX_ALIASED_NODES {
            return Some(());
        }
        let help = "write values out instead of repeating them by alias";
        self.problems.error(
            &At::outside_keys(span),
            "aliases make the document too large",
            help,
        );
        None
    }

    fn alias(&mut self, span: Span, id: usize) -> Option<()> {
        let Some(size) = self.anchors.get(&id).map(|(_, size)| *size) else {
            let help = "an alias may stand only after the whole value that it repeats";
            self.problems.error(
                &At::outside_keys(span),
                "the alias stands inside its own anchor",
                help,
            );
            return None;
        };
        self.repeat(span, size)?;
        let (node, _) = self.anchors.get(&id)?;
        self.place(node.clone(), 0, size)
    }

    /// The function that a tag names. Where tags mean nothing they are reported, and the outer
    /// `None` ends the reading.
    #[expect(
        clippy::option_option,
        reason = "refused, left out and given are three different things"
    )]
    fn function(&mut self, tag: Option<&Tag>, span: granit_parser::Span) -> Option<Option<String>> {
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema());
        let Some(tag) = tag else { return Some(None) };
        let written = tag.original();
        match (self.tags, written.strip_prefix('!')) {
            (Tags::Functions, Some(name @ ("Ref" | "Condition"))) => {
                return Some(Some(name.to_owned()));
            }
            (Tags::Functions, Some(name)) if !name.starts_with(['<', '!']) => {
                return Some(Some(format!("Fn::{name}")));
            }
            _ => {}
        }
        let span = span.tag_span().unwrap_or(span);
        let at = At::outside_keys(self.span(span.start, span.end));
        let message = format!("the tag `{written}` means nothing here");
        self.problems.error(&at, message, "remove the tag");
        None
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let first = start.byte_offset().unwrap_or_default() as u32;
        let last = end.byte_offset().map_or(first, |last| last as u32);
        Span {
            start: self.start + first,
            end: self.start + last,
        }
    }
}

/// A value, or the function of this name called with it.
fn called(function: Option<String>, node: Node) -> Node {
    let Some(name) = function else {
        return node;
    };
    let span = node.span;
    let name = Node {
        span,
        value: Value::Scalar(name.into()),
    };
    Node {
        span,
        value: Value::Mapping([(name, node)].into()),
    }
}
