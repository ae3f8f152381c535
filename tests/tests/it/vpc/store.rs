//! What every store of a rules document does: the same tests for this host's directory and for etcd.

use std::{collections::BTreeSet, time::Duration};

use sg_ctl::{
    host::paths::Paths,
    vpc::{
        Document, EtcdStore, LocalStore, Owners, Store, StoreError, Swap,
        etcd::Etcd as Connection,
        joined::{EtcdAccess, Joined},
        keys::Keys,
    },
};
use sg_policy::model::{Direction, GroupId, Model, Peer, Rule, SecurityGroup, Service};
use sg_tests::{etcd::Etcd, netns::Namespace, scratch::Directory, topology::Network};
use tokio::{runtime::Builder, task::JoinSet, time::Instant};

/// A group whose one rule admits the members of another.
fn group(name: &str, admits: &str) -> SecurityGroup {
    let id = GroupId::derived(name);
    let peer = Peer::Group(admits.to_owned());
    SecurityGroup {
        inbound: vec![Rule::new(&id, Direction::Inbound, Service::All, peer)],
        outbound: Vec::new(),
        name: name.to_owned(),
        id,
        ..SecurityGroup::built_in()
    }
}

/// A document with groups of these names besides those that it has, and the revision that it is of.
async fn with(store: &impl Store, names: &[&str]) -> Swap {
    let kept = store.load().await.expect("the store is there");
    let mut model = kept.document.model().clone();
    for name in names {
        model.groups.insert((*name).to_owned(), group(name, name));
    }
    Swap {
        from: kept.revision,
        document: Document::new(model, Owners::default()),
        way_in: None,
    }
}

async fn groups(store: &impl Store) -> BTreeSet<String> {
    let kept = store.load().await.expect("the store is there");
    kept.document.model().groups.keys().cloned().collect()
}

/// What is put there is there, under a revision of its own; what was made of another is refused.
async fn what_was_made_of_the_last_revision_is_kept_and_nothing_else(store: &impl Store) {
    assert_eq!(groups(store).await, ["default".to_owned()].into());
    let (first, stale) = (with(store, &["a"]).await, with(store, &["b"]).await);
    let document = first.document.clone();
    let from = first.from;
    let revision = store.swap(first).await.expect("nobody was faster");
    assert!(revision > from, "{revision} > {from}");
    let kept = store.load().await.expect("the store is there");
    assert_eq!((kept.revision, &*kept.document), (revision, &document));

    let refused = store.swap(stale).await;
    let found = match refused {
        Err(StoreError::Conflict { found }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found, revision);

    let mut wrong = with(store, &[]).await;
    let mut model: Model = wrong.document.model().clone();
    model.groups.insert("c".to_owned(), group("c", "nobody"));
    wrong.document = Document::new(model, Owners::default());
    let refused = store.swap(wrong).await;
    assert!(
        matches!(refused, Err(StoreError::Document(_))),
        "{refused:?}"
    );
    let kept = store.load().await.expect("the store is there");
    assert_eq!((kept.revision, &*kept.document), (revision, &document));
    assert_eq!(
        store
            .behind(revision, Duration::ZERO)
            .await
            .expect("the store is there"),
        Vec::<String>::new()
    );
    assert!(
        store
            .claimed()
            .await
            .expect("the store is there")
            .is_empty()
    );
}

/// Of writers who have read the same one gets in; nobody undoes what another has written.
async fn no_writer_undoes_another(store: &impl Store) {
    const NAMES: [&str; 4] = ["w1", "w2", "w3", "w4"];
    let before = groups(store).await;
    let mut swaps = Vec::new();
    for name in NAMES {
        swaps.push((name, with(store, &[name]).await));
    }
    let mut racing = JoinSet::new();
    for (name, swap) in swaps {
        let store = store.clone();
        racing.spawn(async move { (name, store.swap(swap).await) });
    }
    let mut expected = before;
    let mut losers = Vec::new();
    for (name, result) in racing.join_all().await {
        match result {
            Ok(_) => drop(expected.insert(name.to_owned())),
            Err(StoreError::Conflict { .. }) => losers.push(name),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    assert_eq!(losers.len(), NAMES.len() - 1, "{losers:?}");
    assert_eq!(groups(store).await, expected);
    for name in losers {
        let again = with(store, &[name]).await;
        store.swap(again).await.expect("nobody was faster");
        expected.insert(name.to_owned());
    }
    assert_eq!(groups(store).await, expected);
}

/// Whoever follows hears of a change, and of none after the time that it waits.
async fn a_change_is_heard_of_by_who_waits(store: &impl Store) {
    const LONG: Duration = Duration::from_mins(2);
    let seen = store.load().await.expect("the store is there").revision;
    let brief = Duration::from_millis(50);
    let same = store.follow(seen, brief).await.expect("the store is there");
    assert_eq!(same.revision, seen);
    let since = Instant::now();
    let change = async {
        let swap = with(store, &["news"]).await;
        store.swap(swap).await.expect("nobody was faster")
    };
    let (heard, written) = tokio::join!(store.follow(seen, LONG), change);
    let heard = heard.expect("the store is there");
    assert_eq!(heard.revision, written);
    assert!(heard.document.model().groups.contains_key("news"));
    assert!(since.elapsed() < LONG, "{:?}", since.elapsed());
}

async fn exercise(store: impl Store) {
    what_was_made_of_the_last_revision_is_kept_and_nothing_else(&store).await;
    no_writer_undoes_another(&store).await;
    a_change_is_heard_of_by_who_waits(&store).await;
}

/// Runs it on an event loop inside a namespace.
fn run(namespace: &Namespace, work: impl Future<Output = ()> + Send) {
    namespace.enter(|| {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("an event loop").block_on(work);
    });
}

#[test]
fn a_directory_is_a_store() {
    let namespace = Namespace::new("store");
    let (state, pins) = (Directory::temporary("store"), Directory::for_pins("store"));
    let store = LocalStore::new(Paths {
        state: state.path().join("state"),
        pins: pins.path().to_owned(),
    });
    run(&namespace, exercise(store));
}

#[test]
fn etcd_is_a_store() {
    let network = Network::new(&["etcd"]);
    let [node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let access = EtcdAccess {
        endpoints: vec![etcd.endpoints()],
        ..EtcdAccess::default()
    };
    run(&node.namespace, async {
        let rules = Keys::new("prod").expect("a name").rules();
        let connection = Connection::connect(&access, &rules, 0).await;
        let mut connection = connection.expect("etcd runs");
        let cluster = connection.tip(&rules).await.expect("etcd runs").cluster;
        let store = EtcdStore::new(Joined {
            vpc: "prod".to_owned(),
            host: "admin".to_owned(),
            etcd: access.clone(),
            cluster,
            ttl: Duration::from_mins(10),
            grace: Duration::from_mins(5),
            at: 0,
        });
        Box::pin(exercise(store.expect("a name"))).await;
    });
}
