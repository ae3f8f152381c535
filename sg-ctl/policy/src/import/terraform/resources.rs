//! The resources of a state or plan, with what of them is not known before apply.

use std::collections::HashMap;
use std::rc::Rc;

use super::{complete, state};
use crate::import::view::View;
use crate::text::document::Value;
use crate::text::report::{At, Problems};

/// A resource, or a part of one such as an inline rule.
#[derive(Clone, Debug)]
pub(super) struct Resource<'a> {
    /// The whole address, modules and index included.
    pub(super) address: Rc<str>,
    /// The address of its module, empty for the root.
    pub(super) module: Rc<str>,
    pub(super) kind: &'a str,
    /// Whether it is only looked up.
    pub(super) is_data: bool,
    pub(super) values: View<'a>,
    /// `true` in place of every value that is not known.
    unknown: Option<View<'a>>,
    /// Of a part: the block that it is.
    block: Option<Block>,
}

/// A block inside a resource.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Its name, if the configuration tells of it: of blocks that `dynamic` makes it tells
    /// nothing, so what it tells is about all of them only if there is one.
    argument: Option<&'static str>,
}

/// A value of a resource.
#[derive(Clone, Debug)]
pub(super) enum Attribute<'a> {
    Known(View<'a>),
    /// Only an apply makes it known.
    Unknown,
    /// There is none.
    Absent,
}

impl<'a> Attribute<'a> {
    /// The value, if it is there and known.
    pub(super) fn known(self) -> Option<View<'a>> {
        match self {
            Self::Known(view) => Some(view),
            Self::Unknown | Self::Absent => None,
        }
    }
}

impl<'a> Resource<'a> {
    /// A resource of which everything is known.
    pub(super) const fn known(
        address: Rc<str>,
        module: Rc<str>,
        kind: &'a str,
        is_data: bool,
        values: View<'a>,
    ) -> Self {
        Self {
            address,
            module,
            kind,
            is_data,
            values,
            unknown: None,
            block: None,
        }
    }

    /// Whether this is a block inside a resource.
    pub(super) const fn is_part(&self) -> bool {
        self.block.is_some()
    }

    /// The place for reports.
    pub(super) fn at(&self) -> At {
        self.values.at()
    }

    /// The value under a key.
    pub(super) fn attribute(&self, key: &str) -> Attribute<'a> {
        let unknown = self.unknown.as_ref().and_then(|unknown| unknown.get(key));
        if unknown.is_some_and(|unknown| unknown.as_text() == Some("true")) {
            return Attribute::Unknown;
        }
        // Terraform writes what is not stated as "", [] or null.
        match self.values.get(key).filter(|view| !is_blank(view)) {
            Some(view) => Attribute::Known(view),
            None => Attribute::Absent,
        }
    }

    /// The text under a key, if it is known.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.attribute(key).known()?.as_text()
    }

    /// The blocks under a key, `values`, each as a part of this resource.
    pub(super) fn blocks(&self, key: &'static str, values: &View<'a>) -> Vec<Self> {
        let unknown = self.unknown.as_ref().and_then(|unknown| unknown.get(key));
        let unknown = unknown.map(|list| list.items()).unwrap_or_default();
        let mut unknown = unknown.into_iter();
        let values = values.items();
        let argument = (values.len() == 1).then_some(key);
        let parts = values.into_iter().map(|values| Self {
            values,
            unknown: unknown.next(),
            block: Some(Block { argument }),
            ..self.clone()
        });
        parts.collect()
    }

    /// The argument of the configuration that tells of the value under a key, if one does.
    pub(super) fn argument<'k>(&self, key: &'k str) -> Option<&'k str> {
        self.block.map_or(Some(key), |block| block.argument)
    }
}

fn is_blank(view: &View<'_>) -> bool {
    matches!(view.value(), Value::Scalar(text) if text.is_empty())
}

/// All resources, of all modules.
pub(super) fn resources<'a>(root: &View<'a>, problems: &mut Problems<'_>) -> Vec<Resource<'a>> {
    if state::is_state(root) {
        return state::resources(root, problems);
    }
    complete::warn(root, problems);
    let mut unknown = HashMap::new();
    for change in root.list("resource_changes", problems) {
        let address = change.get("address").and_then(|address| address.as_text());
        let after = change
            .get("change")
            .and_then(|change| change.get("after_unknown"));
        unknown.extend(address.zip(after));
    }
    let values = root.get("planned_values").or_else(|| root.get("values"));
    let mut found = Vec::new();
    let module = values.and_then(|values| values.get("root_module"));
    if let Some(module) = &module {
        collect(module, &"".into(), &unknown, &mut found, problems);
    } else {
        let help = "this is not what `terraform show -json` prints: was the file cut off?";
        problems.error(&root.at(), "`root_module` is missing", help);
    }
    found
}

fn collect<'a>(
    module: &View<'a>,
    address: &Rc<str>,
    unknown: &HashMap<&'a str, View<'a>>,
    found: &mut Vec<Resource<'a>>,
    problems: &mut Problems<'_>,
) {
    for view in module.list("resources", problems) {
        let mut text = |key| view.required(key, problems);
        let (Some(whole), Some(kind)) = (text("address"), text("type")) else {
            continue;
        };
        let Some(values) = view.get("values") else {
            continue;
        };
        found.push(Resource {
            address: whole.into(),
            module: Rc::clone(address),
            kind,
            is_data: view.get("mode").and_then(|mode| mode.as_text()) == Some("data"),
            values: values.called(whole),
            unknown: unknown.get(whole).cloned(),
            block: None,
        });
    }
    for child in module.list("child_modules", problems) {
        if let Some(address) = child.required("address", problems) {
            collect(&child, &address.into(), unknown, found, problems);
        }
    }
}
