//! Who owns what, and what happens when two want the same.

use sg_policy::model::{GroupId, InterfaceSpec, PrefixListId, SecurityGroup};
use sg_policy::rulefile::{Parsed, Source, read};

use super::*;

fn files(text: &str) -> (Model, Origins) {
    let source = Source {
        name: "rules.yaml".to_owned(),
        text: text.to_owned(),
    };
    let Parsed { model, origins, .. } = read(&[source]).expect("rules");
    (model, origins)
}

fn applied(document: &Document, text: &str) -> Result<Document, DocumentError> {
    let (model, origins) = files(text);
    document.with_files(model, origins)
}

/// A group without rules.
fn group(name: &str) -> SecurityGroup {
    SecurityGroup {
        id: GroupId::of_bits(name.len() as u128),
        name: name.to_owned(),
        description: "d".to_owned(),
        tags: [].into(),
        inbound: Vec::new(),
        outbound: Vec::new(),
    }
}

/// A document of files, to which the API has added a group, a list and an assignment.
fn both() -> Document {
    let mut document = applied(
        &Document::new(Model::new(), Owners::default()),
        "security_groups: {web: {}}",
    )
    .expect("a document");
    document.put_group(group("made"));
    let id = PrefixListId::of_bits(1);
    let list = ManagedList::new(id, Family::V4, Entries::new());
    document.put_list("office", list, 5);
    let spec = InterfaceSpec::default();
    document.assign("eth0", spec, vec!["made".to_owned()]);
    document
}

#[test]
fn files_replace_what_is_theirs_and_nothing_else() {
    let after = applied(&both(), "security_groups: {db: {}}").expect("a document");
    let names: Vec<_> = after.model().groups.keys().collect();
    assert_eq!(names, ["db", "default", "made"]);
    assert_eq!(after.model().groups["made"], group("made"));
    assert_eq!(after.model().prefix_lists["office"].max_entries, Some(5));
    assert_eq!(after.model().interfaces["eth0"].groups, ["made"]);
    assert_eq!(after.managed_lists(), both().managed_lists());
    assert_eq!(after.file_of(Owned::Group, "db"), Some("rules.yaml"));
    assert_eq!(after.file_of(Owned::Group, "made"), None);
}

#[test]
fn a_file_that_defines_what_the_api_owns_is_refused_with_the_remedy() {
    for (text, command) in [
        ("security_groups: {made: {}}", "adopt made"),
        ("security_groups: {MADE: {}}", "adopt made"),
        ("prefix_lists: {office: []}", "adopt --prefix-list office"),
        ("interfaces: {eth0: {}}", "adopt --interface eth0"),
    ] {
        let error = applied(&both(), text).expect_err(text);
        assert!(error.to_string().contains("rules.yaml"), "{error}");
        assert!(error.help().expect("a remedy").contains(command), "{text}");
    }
}

#[test]
fn what_was_adopted_is_what_files_say_of_it() {
    let mut document = both();
    assert!(document.adopt(Owned::Group, "web").is_err());
    document.adopt(Owned::Interface, "eth0").expect("the API's");
    document.adopt(Owned::Group, "made").expect("the API's");
    let after = applied(&document, "security_groups: {made: {description: new}}").expect("one");
    assert_eq!(after.model().groups["made"].description, "new");
    assert!(!after.model().interfaces.contains_key("eth0"));
}

#[test]
fn a_file_cannot_take_away_what_the_api_refers_to() {
    let mut document = both();
    let spec = InterfaceSpec::default();
    document.assign("eth1", spec, vec!["web".to_owned()]);
    let error = applied(&document, "security_groups: {db: {}}").expect_err("eth1 carries web");
    assert!(error.to_string().contains("`web`"), "{error}");
    assert!(applied(&document, "security_groups: {web: {}, db: {}}").is_ok());
}

#[test]
fn the_built_in_group_is_the_api_s_once_the_api_changed_it() {
    let mut document = both();
    let default = document.group_mut("default").expect("it exists");
    default.inbound.clear();
    let after = applied(&document, "security_groups: {web: {}}").expect("a document");
    assert!(after.model().groups["default"].inbound.is_empty());
    assert!(applied(&document, "security_groups: {default: {inbound: []}}").is_err());
}

#[test]
fn a_renamed_list_is_followed_by_rules() {
    use sg_policy::model::{Direction, Peer, Rule, Service};
    let mut document = both();
    let office = Peer::PrefixList("office".to_owned());
    let made = document.group_mut("made").expect("it exists");
    let rule = Rule::new(&made.id, Direction::Inbound, Service::All, office);
    made.inbound.push(rule);
    document.rename_list("office", "home");
    assert_eq!(document.check(), Ok(()));
    assert!(document.owners().is_api(Owned::PrefixList, "home"));
    assert!(document.managed_lists().contains_key("home"));
}

#[test]
fn a_document_survives_its_json() {
    let document = both();
    let text = serde_json::to_string(&document).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Document>(&text).expect("a document"),
        document
    );
}
