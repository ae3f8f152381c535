//! What each part of the code base may use. Paths are prefixes, relative to the repository.

/// Words that some files must not contain.
pub(crate) struct Boundary {
    /// Where the rule holds.
    pub(crate) within: &'static [&'static str],
    /// Where it does not.
    pub(crate) except: &'static [&'static str],
    /// Identifiers; `name()` is a function's call, `name!` a macro's, `#name` an attribute.
    pub(crate) banned: &'static [&'static str],
    /// The rule in words.
    pub(crate) why: &'static str,
}

impl Boundary {
    /// Returns whether the rule holds for a file.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let is_in = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        is_in(self.within) && !is_in(self.except)
    }
}

/// All rules about words.
pub(crate) const WORDS: &[Boundary] = &[
    Boundary {
        within: &[""],
        except: &[],
        banned: &[
            "todo!",
            "unimplemented!",
            "#ignore",
            "#should_panic",
            "unreachable_unchecked",
        ],
        why: "code is finished, tests run and say what they expect, panics stay panics",
    },
    Boundary {
        within: &["sg-common/src/"],
        // The kernel's part, played on the host.
        except: &["sg-common/src/memory.rs"],
        banned: &["std", "alloc", "aya_ebpf"],
        why: "sg-common also runs inside the kernel: core only, and no hook's context",
    },
    Boundary {
        within: &["sg-common/src/"],
        except: &["sg-common/src/pod.rs"],
        banned: &["aya"],
        why: "only pod.rs knows aya, for its marker of types that cross the boundary",
    },
    Boundary {
        within: &["sg-common/src/"],
        except: &["sg-common/src/pod.rs", "sg-common/src/verifier.rs"],
        banned: &["unsafe"],
        why: "sg-common decides; only the marker and the optimisation barrier are unsafe",
    },
    Boundary {
        within: &["sg-ebpf/src/"],
        except: &["sg-ebpf/src/packet.rs", "sg-ebpf/src/bench"],
        banned: &[
            "__sk_buff",
            "bpf_skb_load_bytes",
            "bpf_skb_pull_data",
            "bpf_xdp_load_bytes",
            "data_end",
            "xdp_md",
        ],
        why: "only packet.rs touches packet memory, and the benchmark, which makes packets",
    },
    Boundary {
        within: &["sg-ebpf/src/packet.rs"],
        except: &[],
        banned: &["maps"],
        why: "reading packets needs no maps",
    },
    Boundary {
        within: &["sg-ebpf/src/"],
        except: &["sg-ebpf/src/maps.rs", "sg-ebpf/src/bench/"],
        banned: &["#btf_map", "#map"],
        why: "all maps are defined in maps.rs, but for the benchmark's own",
    },
    Boundary {
        within: &["sg-ebpf/src/"],
        except: &["sg-ebpf/src/main.rs", "sg-ebpf/src/bench.rs"],
        banned: &[
            "TC_ACT_SHOT",
            "TC_ACT_UNSPEC",
            "XDP_DROP",
            "XDP_PASS",
            "xdp_action",
        ],
        why: "only the entry points turn verdicts into actions",
    },
    Boundary {
        within: &["sg-ebpf/src/"],
        except: &[],
        banned: &["TC_ACT_OK", "XDP_ABORTED"],
        why: "OK would silence the programs behind this one, ABORTED is for bugs",
    },
    Boundary {
        within: &["sg-ctl/src/"],
        except: &["sg-ctl/src/host/dataplane/"],
        banned: &["aya", "aya_log", "aya_obj"],
        why: "only dataplane/ speaks to the kernel",
    },
    Boundary {
        within: &["sg-ctl/"],
        except: &[
            "sg-ctl/src/host/dataplane/sys.rs",
            "sg-ctl/src/host/dataplane/sys/",
        ],
        banned: &["unsafe"],
        why: "only dataplane/sys.rs is unsafe",
    },
    Boundary {
        within: &["sg-ctl/policy/src/"],
        except: &["sg-ctl/policy/src/text.rs"],
        banned: &["File", "fs", "env()", "Instant", "SystemTime"],
        why: "policy is pure, but for text.rs, which opens a document",
    },
    Boundary {
        within: &["sg-ctl/policy/src/model/", "sg-ctl/policy/src/model.rs"],
        except: &[],
        banned: &["compile", "export", "import", "rulefile"],
        why: "the model knows neither its sources nor its uses",
    },
    Boundary {
        within: &["sg-ctl/policy/src/compile/", "sg-ctl/policy/src/compile.rs"],
        except: &[],
        banned: &["rulefile"],
        why: "the compiler takes any model, wherever it comes from",
    },
    Boundary {
        within: &["sg-ctl/src/record/", "sg-ctl/src/record.rs"],
        except: &[],
        banned: &["clap", "host", "nix", "tokio"],
        why: "what happened is data: the kernel is not asked again",
    },
    Boundary {
        within: &["sg-ctl/src/host/", "sg-ctl/src/host.rs"],
        except: &[],
        banned: &["agent", "hyper", "replay"],
        why: "one host is all that host/ knows",
    },
    Boundary {
        within: &["sg-ctl/src/vpc/document/", "sg-ctl/src/vpc/document.rs"],
        except: &[],
        banned: &["host", "tokio"],
        why: "the rules document is data, wherever it is kept",
    },
    Boundary {
        within: &["sg-ctl/src/vpc/", "sg-ctl/src/vpc.rs"],
        except: &[],
        banned: &["agent", "api", "replay"],
        why: "vpc/ keeps the rules, whoever follows or changes them",
    },
    Boundary {
        within: &["sg-ctl/src/"],
        except: &[
            "sg-ctl/src/vpc/etcd.rs",
            "sg-ctl/src/vpc/etcd/",
            "sg-ctl/src/vpc/follow/",
        ],
        banned: &["etcd_client"],
        why: "one client of etcd, behind one set of errors",
    },
    Boundary {
        within: &[
            "sg-ctl/src/vpc/claims.rs",
            "sg-ctl/src/vpc/claims/",
            "sg-ctl/src/vpc/keys.rs",
            "sg-ctl/src/vpc/record.rs",
            "sg-ctl/src/vpc/roles.rs",
        ],
        except: &[],
        banned: &["fs", "tokio", "Instant", "SystemTime", "dataplane"],
        why: "who is a member is decided by data alone",
    },
    Boundary {
        within: &["sg-ctl/src/"],
        // Where errors of all kinds, clap's too, become exit codes: failure.rs.
        except: &[
            "sg-ctl/src/failure.rs",
            "sg-ctl/src/main.rs",
            "sg-ctl/src/verb",
        ],
        banned: &["clap"],
        why: "only the command line knows clap",
    },
    Boundary {
        within: &["sg-ctl/src/"],
        except: &[
            "sg-ctl/src/failure.rs",
            "sg-ctl/src/main.rs",
            "sg-ctl/src/verb",
        ],
        banned: &["verb"],
        why: "nothing calls verbs but main",
    },
    Boundary {
        within: &["sg-ctl/src/host/", "sg-ctl/src/host.rs"],
        // What hosts keep on disk, and figures that answers show as they are.
        except: &["sg-ctl/src/host/state", "sg-ctl/src/host/diff.rs"],
        banned: &["serde_json"],
        why: "answers are made of views, in verb/",
    },
    Boundary {
        within: &["sg-ctl/src/"],
        except: &["sg-ctl/src/agent"],
        banned: &["notify", "prometheus_client", "sd_notify"],
        why: "only the agent watches files, has metrics and knows systemd",
    },
    Boundary {
        within: &["sg-ctl/src/"],
        except: &["sg-ctl/src/api/server", "sg-ctl/src/agent/http.rs"],
        banned: &["hyper", "rcgen", "tokio_rustls"],
        why: "connections are accepted in one place, api/server/, and in the agent's own",
    },
    Boundary {
        within: &["sg-ctl/src/api/"],
        except: &[
            "sg-ctl/src/api/console",
            "sg-ctl/src/api/serve.rs",
            "sg-ctl/src/api/server",
        ],
        banned: &["axum", "http"],
        why: "calls are forms and trees; only server/ and console/ know HTTP",
    },
    Boundary {
        within: &["sg-ctl/src/api/"],
        except: &["sg-ctl/src/api/console"],
        banned: &["maud"],
        why: "only the console writes pages",
    },
    Boundary {
        within: &["sg-ctl/src/api/actions/", "sg-ctl/src/api/actions.rs"],
        except: &[],
        banned: &[
            "Host",
            "Store",
            "SystemTime",
            "Timestamp",
            "getrandom",
            "tokio",
        ],
        why: "actions are pure functions over the rules document",
    },
    Boundary {
        within: &["sg-ctl/"],
        except: &["sg-ctl/policy/src/model/pattern.rs"],
        banned: &["glob"],
        why: "names are matched in one way",
    },
    Boundary {
        within: &["sg-ctl/src/"],
        except: &["sg-ctl/src/verb/top"],
        banned: &["ratatui"],
        why: "only the view of the terminal draws",
    },
    Boundary {
        within: &["sg-ctl/src/host/dataplane/"],
        // The states of connections and neighbours are not those of this host.
        except: &[
            "sg-ctl/src/host/dataplane/conntrack.rs",
            "sg-ctl/src/host/dataplane/interface/routes.rs",
            "sg-ctl/src/host/dataplane/relocate.rs",
            "sg-ctl/src/host/dataplane/seed.rs",
            "sg-ctl/src/host/dataplane/sockets.rs",
            "sg-ctl/src/host/dataplane/sys/memory.rs",
        ],
        banned: &["compile", "replay", "rulefile", "state"],
        why: "dataplane/ is told what to load, and never what it means",
    },
    Boundary {
        within: &["tests/tests/"],
        except: &[],
        banned: &["sleep()"],
        why: "tests poll, by the harness's one loop",
    },
];

/// What packages may depend on, other than for their tests. Those not listed are free.
pub(crate) const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("sg-common", &["aya", "network-types"]),
    (
        "sg-ebpf",
        &["aya-ebpf", "aya-log-ebpf", "network-types", "sg-common"],
    ),
    (
        "sg-policy",
        &[
            "annotate-snippets",
            "etherparse",
            "foldhash",
            "glob",
            "ipnet",
            "regex",
            "schemars",
            "serde",
            "serde-saphyr",
            "serde_json",
            "sg-common",
            "sha2",
            "strsim",
            "thiserror",
        ],
    ),
    // None of ours: xtask must build where the kernel programs do not yet.
    (
        "xtask",
        &[
            "anyhow",
            "clap",
            "console",
            "indicatif",
            "lzma-rust2",
            "serde_json",
        ],
    ),
];

/// The most lines a file may have, without the unit tests at its end.
pub(crate) const MAX_LINES: usize = 400;

/// The most bytes of ARCHITECTURE.md: what is read in one sitting.
pub(crate) const MOST_ARCHITECTURE: usize = 10_240;

/// Files that are longer, each with the reason.
pub(crate) const LONG_FILES: &[(&str, &str)] = &[(
    "sg-common/src/pipeline/tests.rs",
    "one case for each of those steps",
)];
