//! Prefix lists: those of the API to change, those of rule files to see.

use std::collections::BTreeMap;

use sg_policy::model::{self, PrefixList, PrefixListId};

use super::groups::users_of_list;
use super::lookup::list_id;
use super::{Call, parse, show};
use crate::api::filters::{Filtered, Filters, Tags};
use crate::api::form::{Form, Part};
use crate::api::refusal::Refusal;
use crate::api::xml::Node;
use crate::vpc::{Entries, Family, ListState, ManagedList, Owned};

/// Most entries of a list, as on AWS.
const MOST_ENTRIES: i64 = 1000;
/// Sizes of pages.
const SIZES: (usize, usize) = (1, 100);

/// A list of either owner, as answers show it.
struct Shown<'c> {
    name: &'c str,
    id: PrefixListId,
    list: &'c PrefixList,
    managed: Option<&'c ManagedList>,
    tags: Tags,
    account: &'c str,
    arn: String,
}

impl<'c> Shown<'c> {
    fn of(call: &'c Call<'_>, name: &'c str) -> Self {
        let document = &call.document;
        let id = list_id(document, name);
        let managed = document.managed_lists().get(name);
        let mut tags = managed.map(|list| list.tags.clone()).unwrap_or_default();
        if let Some(file) = document.file_of(Owned::PrefixList, name) {
            tags.insert("sg:file".to_owned(), file.to_owned());
        }
        Self {
            name,
            arn: call.world.place.arn("prefix-list", id.as_str()),
            id,
            list: &document.model().prefix_lists[name],
            managed,
            tags,
            account: &call.world.place.account,
        }
    }

    /// The family that it is shown with: a list of a rule file may hold both.
    fn family(&self) -> &'static str {
        let is_v6 = match self.managed {
            Some(managed) => managed.family == Family::V6,
            None => self
                .list
                .entries
                .first()
                .is_some_and(|net| model::Family::of(net) == model::Family::V6),
        };
        if is_v6 { "IPv6" } else { "IPv4" }
    }

    /// The list; `state` is told in place of its own where a change is being answered.
    fn node(&self, state: Option<&str>) -> Node {
        let own = self.managed.map(|managed| &managed.state);
        let (own, message) = match own {
            None | Some(ListState::CreateComplete) => ("create-complete", None),
            Some(ListState::ModifyComplete) => ("modify-complete", None),
            Some(ListState::DeleteFailed(why)) => ("delete-failed", Some(why)),
        };
        let size = self.list.max_entries;
        let size = size.unwrap_or(self.list.entries.len() as u32);
        let message = message.filter(|_| state.is_none());
        Node::fields([("prefixListId", Node::text(&self.id))])
            .with("addressFamily", Node::text(self.family()))
            .with("state", Node::text(state.unwrap_or(own)))
            .with_some("stateMessage", message.map(Node::text))
            .with("prefixListArn", Node::text(&self.arn))
            .with("prefixListName", Node::text(self.name))
            .with("maxEntries", Node::text(size))
            .with(
                "version",
                Node::text(self.managed.map_or(1, |list| list.version)),
            )
            .with("tagSet", show::tag_set(&self.tags))
            .with("ownerId", Node::text(self.account))
    }
}

impl Filtered for Shown<'_> {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        Some(vec![match name {
            "prefix-list-id" => self.id.to_string(),
            "prefix-list-name" => self.name.to_owned(),
            "owner-id" => self.account.to_owned(),
            _ => return None,
        }])
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }
}

/// The lists that a request names or selects, a page of them.
fn select<'c>(
    call: &'c Call<'_>,
    form: &Form,
    sizes: (usize, usize),
) -> Result<(Vec<Shown<'c>>, Option<Node>), Refusal> {
    let ids = form.list("PrefixListId")?;
    let mut lists = Vec::new();
    for id in &ids {
        lists.push(Shown::of(call, call.list(id)?));
    }
    if ids.is_empty() {
        let names = call.document.model().prefix_lists.keys();
        lists.extend(names.map(|name| Shown::of(call, name)));
    }
    let known = ["prefix-list-id", "prefix-list-name", "owner-id"];
    let found = Filters::of(form)?.select(lists, &known)?;
    call.tokens
        .page(form, found, sizes, |shown: &Shown<'_>| shown.id.to_string())
}

/// `DescribeManagedPrefixLists`.
pub(super) fn describe(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let (lists, next) = select(call, form, SIZES)?;
    let shown = Node::list(lists.iter().map(|list| list.node(None)));
    Ok(Node::fields([("prefixListSet", shown)]).with_some("nextToken", next))
}

/// `DescribePrefixLists`.
pub(super) fn describe_all(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let (lists, next) = select(call, form, (5, 1000))?;
    let shown = Node::list(lists.iter().map(|shown| {
        Node::fields([
            ("prefixListId", Node::text(&shown.id)),
            ("prefixListName", Node::text(shown.name)),
            (
                "cidrSet",
                Node::list(shown.list.entries.iter().map(Node::text)),
            ),
        ])
    }));
    Ok(Node::fields([("prefixListSet", shown)]).with_some("nextToken", next))
}

/// `GetManagedPrefixListEntries`.
pub(super) fn entries(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let name = call.list(form.need("PrefixListId")?)?;
    let shown = Shown::of(call, name);
    let target = form.get("TargetVersion");
    let entries: Entries = if let Some(managed) = shown.managed {
        let most = i64::try_from(managed.version).unwrap_or(i64::MAX);
        let version = match target {
            Some(text) => parse::number(text, 1, most, "targetVersion")?.unsigned_abs(),
            None => managed.version,
        };
        let entries = managed.entries_of(version).ok_or_else(|| {
            Refusal::bad(format!("The entries of version {version} are not kept"))
        })?;
        entries.clone()
    } else {
        let ranges = shown.list.entries.iter();
        ranges.map(|net| (*net, String::new())).collect()
    };
    let entries: Vec<_> = entries.into_iter().collect();
    let key = |(net, _): &(ipnet::IpNet, String)| net.to_string();
    let (entries, next) = call.tokens.page(form, entries, SIZES, key)?;
    let shown = Node::list(entries.into_iter().map(|(net, description)| {
        let text = (!description.is_empty()).then_some(Node::Text(description));
        Node::fields([("cidr", Node::text(net))]).with_some("description", text)
    }));
    Ok(Node::fields([("entrySet", shown)]).with_some("nextToken", next))
}

/// `CreateManagedPrefixList`.
pub(super) fn create(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let name = form.need("PrefixListName")?;
    check_name(call, name)?;
    let family = match form.need("AddressFamily")? {
        "IPv4" => Family::V4,
        "IPv6" => Family::V6,
        _ => return Err(Refusal::bad("The address family is IPv4 or IPv6")),
    };
    let size = size_of(form.need("MaxEntries")?)?;
    let entries = entries_of(&form.parts("Entry")?, family)?;
    check_size(entries.len(), size)?;
    // Whoever repeats a call with it gets the first answer again: seen to before.
    form.get("ClientToken");
    let mut list = ManagedList::new(call.new_list_id(), family, entries);
    list.tags = parse::specified_tags(form, "prefix-list")?;
    call.change().put_list(name, list, size);
    let shown = Shown::of(call, name).node(Some("create-in-progress"));
    Ok(Node::fields([("prefixList", shown)]))
}

/// `ModifyManagedPrefixList`: entries, under the version that they are changed of; name; size.
pub(super) fn modify(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let (mut name, mut list, mut size) = own_list(call, form)?;
    let version = form.get("CurrentVersion");
    let add = entries_of(&form.parts("AddEntry")?, list.family)?;
    let remove = entries_of(&form.parts("RemoveEntry")?, list.family)?;
    if !add.is_empty() || !remove.is_empty() {
        if version.is_none_or(|version| version != list.version.to_string()) {
            let message = format!(
                "The prefix list has the version {}, not {}",
                list.version,
                version.unwrap_or("none")
            );
            return Err(Refusal::new("PrefixListVersionMismatch", message));
        }
        let entries = changed_entries(&list.entries, add, &remove)?;
        check_size(entries.len(), size)?;
        list.set_entries(entries);
    }
    if let Some(new) = form.get("PrefixListName")
        && new != name
    {
        check_name(call, new)?;
        call.change().rename_list(&name, new);
        new.clone_into(&mut name);
    }
    if let Some(most) = form.get("MaxEntries") {
        size = size_of(most)?;
        if (size as usize) < list.entries.len() {
            return Err(Refusal::bad(
                "maxEntries is below the number of entries that the list has",
            ));
        }
    }
    list.state = ListState::ModifyComplete;
    call.change().put_list(&name, list, size);
    let shown = Shown::of(call, &name).node(Some("modify-in-progress"));
    Ok(Node::fields([("prefixList", shown)]))
}

/// `DeleteManagedPrefixList`: as on AWS accepted while rules name the list, which then stays.
pub(super) fn delete(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let (name, mut list, size) = own_list(call, form)?;
    let shown = Shown::of(call, &name).node(Some("delete-in-progress"));
    let users = users_of_list(call, &name);
    if users.is_empty() {
        call.change().remove_list(&name);
    } else {
        let why = format!("The prefix list is in use by {}", users.join(", "));
        list.state = ListState::DeleteFailed(why);
        call.change().put_list(&name, list, size);
    }
    Ok(Node::fields([("prefixList", shown)]))
}

/// The list that a request means to change: name, list, size.
fn own_list(call: &Call<'_>, form: &Form) -> Result<(String, ManagedList, u32), Refusal> {
    let id = form.need("PrefixListId")?;
    let name = call.list(id)?;
    let what = format!("The prefix list '{id}' ({name})");
    call.check_owner(Owned::PrefixList, name, &what)?;
    let managed = call.document.managed_lists().get(name);
    let list = managed.ok_or_else(|| Refusal::no_list(id))?.clone();
    let size = call.document.model().prefix_lists[name].max_entries;
    let size = size.unwrap_or(list.entries.len() as u32);
    Ok((name.to_owned(), list, size))
}

fn check_name(call: &Call<'_>, name: &str) -> Result<(), Refusal> {
    parse::check_text(name, "prefix list name")?;
    if name.starts_with("com.amazonaws") || name.trim_end() != name {
        return Err(Refusal::bad(format!("Invalid prefix list name '{name}'")));
    }
    if call.document.model().prefix_lists.contains_key(name) {
        return Err(Refusal::bad(format!(
            "The prefix list name '{name}' is taken: here, rules name lists by it"
        )));
    }
    Ok(())
}

/// The size that a request gives a list.
fn size_of(text: &str) -> Result<u32, Refusal> {
    let size = parse::number(text, 1, MOST_ENTRIES, "maxEntries")?;
    Ok(u32::try_from(size).unwrap_or_default())
}

fn check_size(entries: usize, size: u32) -> Result<(), Refusal> {
    if entries > size as usize {
        let message = "The prefix list would have more entries than its maxEntries";
        return Err(Refusal::new("PrefixListMaxEntriesExceeded", message));
    }
    Ok(())
}

/// Entries of a request.
fn entries_of(parts: &[Part<'_>], family: Family) -> Result<Entries, Refusal> {
    let mut entries = BTreeMap::new();
    for part in parts {
        let net = parse::cidr(part.get("Cidr").unwrap_or_default(), family.into())?;
        let description = parse::description(part.get("Description"), "entry description")?;
        entries.insert(net, description);
    }
    Ok(entries)
}

/// Entries after some went and others came.
fn changed_entries(now: &Entries, add: Entries, remove: &Entries) -> Result<Entries, Refusal> {
    if let Some(both) = add.keys().find(|net| remove.contains_key(net)) {
        return Err(Refusal::bad(format!(
            "Request cannot contain Cidr {both} in both AddPrefixListEntries and \
             RemovePrefixListEntries"
        )));
    }
    let mut entries = now.clone();
    for net in remove.keys() {
        if entries.remove(net).is_none() {
            let message = format!("The entry {net} does not exist.");
            return Err(Refusal::new("InvalidPrefixListModification", message));
        }
    }
    entries.extend(add);
    Ok(entries)
}
