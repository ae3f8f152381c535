//! What etcd must allow whom: users, roles and permissions, as commands of `etcdctl`.
//!
//! A host reads its VPC and writes what it says of itself: its records of the groups that the rules
//! assign to it, and no others. Whoever assigns, grants. Administrators write the rules.

use std::fmt::Write as _;

use sg_policy::model::Model;

use super::keys::Keys;

/// The commands that make these hosts' users and roles, and the administrator's.
pub fn commands(keys: &Keys, vpc: &str, model: &Model, hosts: &[String]) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        // A String takes all that memory has room for.
        let _ = writeln!(text, "etcdctl {words}");
    };
    let admin = format!("sg-{vpc}-admin");
    line(&format!("role add {admin}"));
    line(&format!(
        "role grant-permission {admin} readwrite --prefix=true {}",
        keys.prefix()
    ));
    line(&format!("user add {admin} --no-password"));
    line(&format!("user grant-role {admin} {admin}"));
    let reader = format!("sg-{vpc}-reader");
    line(&format!("role add {reader}"));
    line(&format!(
        "role grant-permission {reader} read --prefix=true {}",
        keys.prefix()
    ));
    let assignments = model.assignments();
    for host in hosts {
        let role = format!("sg-{vpc}-host-{host}");
        line(&format!("role add {role}"));
        line(&format!(
            "role grant-permission {role} readwrite {}",
            keys.enforced(host)
        ));
        let mut groups: Vec<_> = assignments
            .of(host)
            .entries()
            .flat_map(|(_, spec)| &spec.groups)
            .filter_map(|name| Some(&model.group(name)?.id))
            .collect();
        groups.sort();
        groups.dedup();
        for group in groups {
            let prefix = keys.group_of_host(group, host);
            line(&format!(
                "role grant-permission {role} readwrite --prefix=true {prefix}"
            ));
        }
        line(&format!("user add {host} --no-password"));
        line(&format!("user grant-role {host} {role}"));
        line(&format!("user grant-role {host} {reader}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_write_of_itself_what_the_rules_assign() {
        let mut model = Model::new();
        let id = model.groups["default"].id.clone();
        model.hosts.insert(
            "app-*/eth0".parse().unwrap(),
            sg_policy::model::InterfaceSpec::default(),
        );
        let keys = Keys::new("prod").unwrap();
        let text = commands(
            &keys,
            "prod",
            &model,
            &["app-1".to_owned(), "db".to_owned()],
        );
        let grants: Vec<_> = text
            .lines()
            .filter(|line| line.contains(" readwrite "))
            .collect();
        assert_eq!(
            grants,
            [
                "etcdctl role grant-permission sg-prod-admin readwrite --prefix=true /sg/v1/prod/",
                "etcdctl role grant-permission sg-prod-host-app-1 readwrite /sg/v1/prod/enforced/app-1",
                &format!(
                    "etcdctl role grant-permission sg-prod-host-app-1 readwrite --prefix=true \
                     /sg/v1/prod/members/{id}/app-1/"
                ),
                "etcdctl role grant-permission sg-prod-host-db readwrite /sg/v1/prod/enforced/db",
            ]
        );
    }
}
