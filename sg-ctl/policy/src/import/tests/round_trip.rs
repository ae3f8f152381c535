//! What is exported as AWS JSON comes back as it was.

use proptest::prelude::*;

use super::{assert_accepted, data, imported};
use crate::export::{aws_json, losses};
use crate::import::{Imported, Options, import};
use crate::model::{Limits, Model, arbitrary};
use crate::text::Source;

/// A model through AWS's JSON and back.
fn through_aws(model: &Model) -> Imported {
    let source = Source {
        name: "aws".to_owned(),
        text: aws_json(model).to_string(),
    };
    import(&[source], &Options::default()).unwrap_or_else(|report| panic!("{report}"))
}

proptest! {
    #[test]
    fn models_survive_aws_json(mut model in arbitrary::model()) {
        // What AWS's JSON cannot hold.
        model.interfaces.clear();
        model.hosts.clear();
        model.limits = Limits::default();
        for group in model.groups.values_mut() {
            for rule in group.inbound.iter_mut().chain(&mut group.outbound) {
                rule.tags.clear();
            }
        }
        model.members.retain(|_, addresses| !addresses.is_empty());
        let back = through_aws(&model);
        prop_assert_eq!(&back.model, &model);
        assert_accepted(&back.model);
        // What was lost is told.
        model.limits.product += 1;
        prop_assert!(!losses(&model).is_empty());
    }
}

#[test]
fn an_imported_account_survives_export() {
    let account = imported(&[
        data!("describe-security-groups.json"),
        data!("describe-security-group-rules.json"),
        data!("describe-managed-prefix-lists.json"),
        data!("pl-0a1b2c3d4e5f60718.json"),
        data!("describe-network-interfaces.json"),
    ]);
    assert_eq!(through_aws(&account.model).model, account.model);
}
