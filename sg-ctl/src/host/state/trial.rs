//! A change on trial: what it was before, and what becomes of it.

use std::mem;

use super::{AttachmentRecord, Overrides, RulesBefore, State, VpcTrial};
use crate::vpc::Document;

impl State {
    /// Whether something waits to be confirmed.
    pub fn is_on_trial(&self) -> bool {
        self.attachments.values().any(|record| record.unconfirmed)
    }

    /// Puts interfaces on trial: unless they are confirmed, they return to what they were in
    /// `before`, the state without this change. What is on trial already goes on to be: the state to
    /// return to is that before the first of several changes.
    pub(in crate::host) fn put_on_trial(&mut self, before: &Self, is_meant: impl Fn(&str) -> bool) {
        let was_guarded = |record: &AttachmentRecord| record.before.is_some();
        for (name, record) in &mut self.attachments {
            if is_meant(name) {
                let before = before.attachments.get(name);
                record.put_on_trial(before.map(|before| before.overrides.clone()));
            }
        }
        // Where nothing was guarded no rules were in force to return to.
        let is_changed = (&self.model, &self.owners) != (&before.model, &before.owners);
        if is_changed && self.attachments.values().any(was_guarded) {
            self.before.get_or_insert_with(|| {
                Box::new(RulesBefore {
                    model: before.model.clone(),
                    owners: before.owners.clone(),
                })
            });
        }
    }

    /// Interfaces come while rules are on trial, and are on none themselves: by the rules before they
    /// would have come as well.
    pub(in crate::host) fn join_trial(&mut self, is_meant: impl Fn(&str) -> bool) {
        for (name, record) in &mut self.attachments {
            if is_meant(name) {
                record.put_on_trial(Some(record.overrides.clone()));
            }
        }
    }

    /// Ends the trial of interfaces: what is, stays. Returns the names of those that were on it.
    pub(in crate::host) fn keep(&mut self, is_meant: impl Fn(&String) -> bool) -> Vec<String> {
        let mut names = Vec::new();
        for (name, record) in &mut self.attachments {
            if record.unconfirmed && is_meant(name) {
                record.unconfirmed = false;
                record.before = None;
                names.push(name.clone());
            }
        }
        if !self.is_on_trial() {
            self.before = None;
        }
        names
    }

    /// What is in force once the deadline has passed: the rules and what the command line said of
    /// each interface before the change. An interface that was not guarded before only audits. What
    /// was cut off stays so, and so does a way in that is kept open.
    #[must_use]
    pub fn settled(&self) -> Self {
        let mut settled = self.clone();
        settled.return_to_rules_before();
        if let Some(trial) = &mut settled.vpc_trial {
            trial.is_over = true;
        }
        for (name, record) in &mut settled.attachments {
            if !mem::take(&mut record.unconfirmed) {
                continue;
            }
            record.rolled_back = true;
            match record.before.take() {
                Some(before) => record.overrides = before,
                None => record.overrides.audit = Some(true),
            }
            let spec = record.overrides.over(settled.model.interface(name));
            let is_known = |group: &String| settled.model.group(group).is_some();
            if spec.groups.is_empty() || !spec.groups.iter().all(is_known) {
                record.overrides.audit = Some(true);
                record.overrides.groups = Some(Vec::new());
            }
        }
        settled
    }

    /// Whether it is what another one comes to when the deadline has passed: no change of its own.
    pub(in crate::host) fn undoes(&self, other: &Self) -> bool {
        let mut records = self.attachments.values();
        other.before.is_some() && self.before.is_none() && records.any(|record| record.rolled_back)
    }

    /// A trial of the VPC's rules begins: what is returned to is `before`, and no more what an earlier
    /// one would have returned to.
    pub(in crate::host) fn begin_vpc_trial(&mut self, id: i64, before: Document) {
        let on_their_own = |record: &AttachmentRecord| record.unconfirmed;
        let apart = match self.vpc_trial.take() {
            Some(trial) => trial.apart,
            None => self
                .attachments
                .iter()
                .filter(|(_, record)| on_their_own(record))
                .map(|(name, _)| name.clone())
                .collect(),
        };
        (self.model, self.owners) = before.into_parts();
        self.before = None;
        self.vpc_trial = Some(VpcTrial {
            id,
            is_over: false,
            apart,
        });
    }

    /// Members of groups have changed while rules are on trial: in those to return to, too.
    pub(in crate::host) fn renew_before(&mut self, before: Document) {
        if let Some(known) = &mut self.before {
            (known.model, known.owners) = before.into_parts();
        }
    }

    /// No trial of the VPC's rules runs any more: they are `kept`, or it has lapsed.
    #[must_use]
    pub(in crate::host) fn without_vpc_trial(mut self, kept: bool) -> Self {
        let Some(trial) = self.vpc_trial.take_if(|trial| !trial.is_over) else {
            self.vpc_trial = None;
            return self;
        };
        if !kept {
            return self.settled();
        }
        self.before = None;
        self.keep(|name| !trial.apart.contains(name));
        self
    }

    /// Returns to the rules before a change of them on trial.
    pub(in crate::host) fn return_to_rules_before(&mut self) {
        if let Some(before) = self.before.take() {
            let RulesBefore { model, owners } = *before;
            self.model = model;
            self.owners = owners;
        }
    }

    /// Forgets that changes were undone: another one has been made since. Interfaces that lost their
    /// groups get those that the rules give them now, if they do.
    pub(in crate::host) fn forget_rollback(&mut self) {
        for (name, record) in &mut self.attachments {
            record.rolled_back = false;
            let spec = self.model.interface(name);
            if record.overrides.name_no_group() && spec.is_some_and(|spec| !spec.groups.is_empty())
            {
                record.overrides.groups = None;
            }
        }
    }
}

impl AttachmentRecord {
    /// Puts it on trial, unless it is: what it returns to is what the command line said before, `None`
    /// when it was not guarded then.
    fn put_on_trial(&mut self, before: Option<Overrides>) {
        if !self.unconfirmed {
            self.unconfirmed = true;
            self.rolled_back = false;
            self.before = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::state::Isolation;
    use sg_policy::model::{GroupId, Hook, Model, SecurityGroup, Side};

    fn model(groups: &[&str]) -> Model {
        let mut model = Model::new();
        for name in groups {
            let group = SecurityGroup {
                id: GroupId::derived(name),
                name: (*name).to_owned(),
                description: String::new(),
                tags: [].into(),
                inbound: Vec::new(),
                outbound: Vec::new(),
            };
            model.groups.insert((*name).to_owned(), group);
        }
        model
    }

    fn record(groups: &[&str]) -> AttachmentRecord {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        AttachmentRecord {
            zone: 0,
            side: Side::Nic,
            hook: Hook::Auto,
            overrides: Overrides {
                groups: Some(groups),
                ..Overrides::default()
            },
            by_pattern: false,
            unconfirmed: false,
            before: None,
            rolled_back: false,
            keep_ssh: None,
            isolated: None,
        }
    }

    fn state(groups: &[&str], attached: &[(&str, AttachmentRecord)]) -> State {
        let attached = attached
            .iter()
            .map(|(name, record)| ((*name).to_owned(), record.clone()));
        State {
            model: model(groups),
            attachments: attached.collect(),
            ..State::default()
        }
    }

    #[test]
    fn what_is_not_confirmed_returns_to_before_the_first_of_several_changes() {
        let first = state(&["web"], &[("eth0", record(&["web"]))]);
        let mut second = state(&["web", "db"], &[("eth0", record(&["db"]))]);
        second.put_on_trial(&first, |_| true);
        let mut third = State {
            model: model(&["ssh"]),
            ..second.clone()
        };
        third.put_on_trial(&second, |_| true);
        let settled = third.settled();
        assert_eq!(settled.model, first.model);
        let eth0 = &settled.attachments["eth0"];
        assert_eq!(eth0.overrides, record(&["web"]).overrides);
        assert!(eth0.rolled_back && !settled.is_on_trial());
        // Kept, it is what it is.
        assert_eq!(third.keep(|_| true), ["eth0"]);
        assert_eq!(third.settled(), third);
    }

    #[test]
    fn what_was_not_guarded_before_only_audits() {
        let first = state(&["web"], &[("eth0", record(&["web"]))]);
        let both = [("eth0", record(&["web"])), ("eth1", record(&["db"]))];
        let mut second = state(&["web", "db"], &both);
        second.put_on_trial(&first, |_| true);
        let settled = second.settled();
        let eth1 = &settled.attachments["eth1"];
        // The rules before do not have its group.
        assert!(eth1.overrides.name_no_group());
        assert_eq!(eth1.overrides.audit, Some(true));
        assert_eq!(settled.attachments["eth0"].overrides.audit, None);
        // Where nothing was guarded there is nothing to return to, and the rules stay.
        let mut alone = state(&["db"], &[("eth1", record(&["db"]))]);
        alone.put_on_trial(&state(&[], &[]), |_| true);
        let settled = alone.settled();
        assert_eq!(settled.model, alone.model);
        assert_eq!(settled.attachments["eth1"].overrides.audit, Some(true));
        assert!(!settled.attachments["eth1"].overrides.name_no_group());
    }

    #[test]
    fn what_comes_while_rules_are_on_trial_carries_out_those_before() {
        let first = state(&["web"], &[("eth0", record(&["web"]))]);
        let mut second = state(&["web", "db"], &[("eth0", record(&["web"]))]);
        second.put_on_trial(&first, |_| true);
        for (name, group) in [("tap1", "web"), ("tap2", "db")] {
            let coming = record(&[group]);
            second.attachments.insert(name.to_owned(), coming);
        }
        second.join_trial(|name| name.starts_with("tap"));
        assert!(second.attachments["tap1"].unconfirmed);
        let settled = second.settled();
        assert_eq!(
            settled.attachments["tap1"].overrides,
            record(&["web"]).overrides
        );
        // The rules before do not have its group.
        assert_eq!(settled.attachments["tap2"].overrides.audit, Some(true));
    }

    fn document(groups: &[&str]) -> Document {
        Document::new(model(groups), crate::vpc::Owners::default())
    }

    /// A host on whose `eth1` something else is on trial when the VPC's rules come to be.
    fn on_vpc_trial() -> State {
        let mut audits = record(&["web"]);
        audits.overrides.audit = Some(true);
        let first = state(&["web"], &[("eth0", record(&["web"])), ("eth1", audits)]);
        let mut found = first.clone();
        found
            .attachments
            .get_mut("eth1")
            .expect("it is there")
            .overrides
            .audit = None;
        found.put_on_trial(&first, |name| name == "eth1");
        found.begin_vpc_trial(7, document(&["web"]));
        let mut next = State {
            model: model(&["web", "db"]),
            ..found.clone()
        };
        next.put_on_trial(&found, |_| true);
        next
    }

    #[test]
    fn rules_of_a_vpc_that_are_confirmed_stay_and_what_was_on_trial_before_goes_on() {
        let mut trial = on_vpc_trial();
        assert!(trial.running_vpc_trial().is_some() && trial.attachments["eth0"].unconfirmed);
        trial.renew_before(document(&["web", "new"]));
        assert_eq!(trial.settled().model, model(&["web", "new"]));
        let kept = trial.without_vpc_trial(true);
        assert_eq!(kept.model, model(&["web", "db"]));
        assert!(kept.before.is_none() && kept.vpc_trial.is_none());
        assert!(!kept.attachments["eth0"].unconfirmed);
        // It returns to auditing, and not to other rules.
        assert_eq!(kept.settled().model, model(&["web", "db"]));
        assert_eq!(
            kept.settled().attachments["eth1"].overrides.audit,
            Some(true)
        );
    }

    #[test]
    fn rules_of_a_vpc_that_are_not_confirmed_return() {
        let trial = on_vpc_trial();
        let lapsed = trial.clone().without_vpc_trial(false);
        assert_eq!(lapsed.model, model(&["web"]));
        assert!(!lapsed.is_on_trial() && lapsed.vpc_trial.is_none());
        // The deadline of this host came first.
        let over = trial.settled();
        assert!(over.running_vpc_trial().is_none() && over.vpc_trial.is_some());
        let told = over.clone().without_vpc_trial(true);
        assert_eq!((&told.model, &told.vpc_trial), (&over.model, &None));
    }

    #[test]
    fn what_is_cut_off_stays_so() {
        let first = state(&["web"], &[("eth0", record(&["web"]))]);
        let mut second = state(&["db"], &[("eth0", record(&["db"]))]);
        second.put_on_trial(&first, |_| true);
        let eth0 = second.attachments.get_mut("eth0").expect("it is there");
        eth0.isolated = Some(Isolation::default());
        assert!(second.settled().attachments["eth0"].isolated.is_some());
    }

    #[test]
    fn another_change_forgets_that_one_was_undone() {
        let mut undone = state(&["web"], &[("eth0", record(&[]))]);
        let eth0 = undone.attachments.get_mut("eth0").expect("it is there");
        eth0.rolled_back = true;
        undone.forget_rollback();
        assert!(!undone.attachments["eth0"].rolled_back);
        // No rule gives it a group.
        assert!(undone.attachments["eth0"].overrides.name_no_group());
    }
}
