//! Of the verbs that change what is in force, and take it back.

/// Of `apply`.
pub(crate) const APPLY: &str = "\
JSON: an object with these fields:
  applied       false with --dry-run
  changed       whether anything differs from what was in force
  policy        generation, groups, rules, prefix_lists, classes, ranges, bytes, kernel_bytes
  changes       groups, prefix_lists, members, interfaces; of each the names added, removed,
                changed; and diff, an array with kind, name, removed and added (lines)
  attached      interfaces on which the rules are in force
  not_attached  interfaces that the rules name, or mean by a pattern, and that are not attached
  deadline      with --confirm-within: passed and in_ms, else null
  notes, duration_ms

EXIT STATUS:
  0 done; with --dry-run: nothing would change
  3 with --dry-run: a change is pending
  1 refused, or bad input; 2 system error

EXAMPLES:
  See what would change, then change it:
    sg-ctl apply -n -f web.yaml
    sg-ctl apply -f web.yaml

  On a host far away: unless you still get in to confirm, it is undone after a minute:
    sg-ctl apply -f web.yaml --confirm-within 60s
    sg-ctl confirm

  Two files are one description; names of one may be used in the other:
    sg-ctl apply -f groups.yaml -f interfaces.yaml

  From another program:
    generate-rules | sg-ctl apply -f -";

/// Of `adopt`.
pub(crate) const ADOPT: &str = "\
EXAMPLES:
  Write down what Terraform made, and go on with a rule file:
    sg-ctl export --format yaml > rules.yaml
    sg-ctl adopt web db
    sg-ctl apply -f rules.yaml";

/// Of `rollback`.
pub(crate) const ROLLBACK: &str = "\
JSON: as of `sg-ctl apply`

EXAMPLES:
    sg-ctl rollback";

/// Of `confirm`.
pub(crate) const CONFIRM: &str = "\
JSON: an object with the field `confirmed`, the names of the interfaces that waited for it

EXAMPLES:
    sg-ctl apply -f web.yaml --confirm-within 60s
    sg-ctl confirm";

/// Of `mode`.
pub(crate) const MODE: &str = "\
JSON: an object with the fields interface, mode, deadline (passed and in_ms, or null) and notes

EXAMPLES:
  Look first, then enforce, with a way back if that was a mistake:
    sg-ctl attach eth0 --group web -f web.yaml --audit
    sg-ctl logs -f --denied
    sg-ctl mode eth0 enforce --confirm-within 60s
    sg-ctl confirm";

/// Of `restore`.
pub(crate) const RESTORE: &str = "\
JSON: an array of objects with the fields interface, result (attached, intact, missing, failed)
and error (text, or null)

EXIT STATUS:
  0 everything that is there is guarded; 2 an interface could not be attached

EXAMPLES:
    sg-ctl restore";

/// Of `upgrade`.
pub(crate) const UPGRADE: &str = "\
JSON: an object with these fields:
  build         version and digest of the programs of this sg-ctl
  interfaces    interface, replaced, before (build of the programs that it had, or null)
  flows         where the layout of the maps has changed: flows that were kept, late (opened while
                hooks changed, and judged again) and refused (without room); else null
  notes
  duration_ms

EXAMPLES:
    sg-ctl status     # warns of programs of another sg-ctl
    sg-ctl upgrade";

/// Of `isolate`.
pub(crate) const ISOLATE: &str = "\
JSON: an object with these fields:
  applied      false with --dry-run
  interface, isolated (whether it is cut off now), changed, flows_cut (live flows that ended),
  kept         client and port of the SSH client that is admitted all the same, or null
  duration_ms

EXIT STATUS:
  0 done; with --dry-run: nothing would change
  3 with --dry-run: a change is pending
  1 refused, or bad input; 2 system error

EXAMPLES:
  A workload is suspected: nobody speaks to it or hears from it, its memory stays to be looked at:
    sg-ctl isolate tap0
    sg-ctl isolate tap0 --release

  A host is, and this is the way in:
    sg-ctl isolate eth0 --keep-ssh";
