//! A state file as Terraform keeps it (`terraform.tfstate`, version 4).

use std::rc::Rc;

use super::address::join;
use super::resources::Resource;
use crate::import::view::View;
use crate::text::report::Problems;

/// The version that Terraform has written since 0.12.
const VERSION: &str = "4";

/// Whether a document is such a file.
pub(super) fn is_state(root: &View<'_>) -> bool {
    root.get("lineage").is_some() && root.get("values").is_none()
}

/// All resources of a state file.
pub(super) fn resources<'a>(root: &View<'a>, problems: &mut Problems<'_>) -> Vec<Resource<'a>> {
    let mut found = Vec::new();
    if root.text("version", problems) != Some(VERSION) {
        let help = "import what `terraform show -json` prints";
        problems.error(
            &root.at(),
            "this is a state file of another version than 4",
            help,
        );
        return found;
    }
    for resource in root.list("resources", problems) {
        let mut text = |key| resource.required(key, problems);
        let (Some(kind), Some(name), Some(mode)) = (text("type"), text("name"), text("mode"))
        else {
            continue;
        };
        let is_data = mode == "data";
        let module = resource.text("module", problems).unwrap_or_default();
        let module: Rc<str> = module.into();
        let prefix = if is_data { "data." } else { "" };
        let base = join(&module, &format!("{prefix}{kind}.{name}"));
        for instance in resource.list("instances", problems) {
            if instance.get("deposed").is_some() {
                // It is replaced already, and waits to be deleted.
                continue;
            }
            let Some(values) = instance.get("attributes") else {
                continue;
            };
            let index = instance.get("index_key");
            let index = index.as_ref().and_then(View::as_text);
            let address: Rc<str> = match (index, index.map(str::parse::<u64>)) {
                (None, _) => base.as_str().into(),
                (Some(index), Some(Ok(_))) => format!("{base}[{index}]").into(),
                (Some(index), _) => format!("{base}[{index:?}]").into(),
            };
            let values = values.called(&address);
            found.push(Resource::known(
                address,
                Rc::clone(&module),
                kind,
                is_data,
                values,
            ));
        }
    }
    found
}
