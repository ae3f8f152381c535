//! What `--help` and the manual pages say beyond the options: examples, and the fields of JSON.

mod change;
mod setup;
mod vpc;

pub(crate) use setup::{COMPLETIONS, MAN, TEMPLATES};
pub(crate) use vpc::{SHOW_HOSTS, VPC, VPC_JOIN, VPC_ROLES};

pub(crate) use change::{ADOPT, APPLY, CONFIRM, ISOLATE, MODE, RESTORE, ROLLBACK, UPGRADE};

/// Below the help of sg-ctl.
pub(crate) const EXIT_STATUS: &str = "\
Exit status: 0 done, 1 refused or bad input (nothing was changed), 2 system error, 3 a dry run found
something to change, 4 `status` has problems to tell.";

/// Below the long help of sg-ctl.
pub(crate) const SG_CTL: &str = "\
EXIT STATUS:
  0  done
  1  refused, or bad input; nothing was changed
  2  system error
  3  a dry run found something to change
  With --json an error is an object on standard error: error, help, findings, status.

FILES:
  /var/lib/sg        desired state (--state-dir, SG_STATE_DIR)
  /sys/fs/bpf/sg     programs and maps in the kernel (--pin-dir, SG_PIN_DIR)

EXAMPLES:
  Write rules, check them, guard an interface, look at what happens:
    sg-ctl check web.yaml
    sg-ctl attach eth0 --group web -f web.yaml
    sg-ctl status
    sg-ctl logs -f --denied

  Change the rules of all interfaces at one moment:
    sg-ctl apply -f web.yaml -f office.yaml";

/// Of `--color`.
pub(crate) const COLOR: &str = "\
When to use colours: `always`, `never`, or `auto`, which is on a terminal unless `NO_COLOR` is set";

/// Of `attach`.
pub(crate) const ATTACH: &str = "\
JSON: an object with these fields:
  interface, zone (its slot in the kernel's tables), groups, mode (enforce or audit),
  deadline (passed and in_ms, or null), ingress, ingress_reason, egress (hooks: xdp,
  xdp-generic, tcx, clsact), existing (connections that were there before: opened as flows, known
  as flows already, refused for want of room), notes,
  policy (generation, groups, rules, prefix_lists, classes, ranges, bytes, kernel_bytes),
  duration_ms

EXAMPLES:
  Guard eth0 with groups of a rule file:
    sg-ctl attach eth0 --group web --group ssh -f rules.yaml

  See first what would be dropped, then enforce:
    sg-ctl attach eth0 --group web -f rules.yaml --audit
    sg-ctl logs -f --denied
    sg-ctl mode eth0 enforce

  Guard a virtual machine or a container at the host's end of its link:
    sg-ctl attach tap0 --side workload --group db";

/// Of `detach`.
pub(crate) const DETACH: &str = "\
JSON: an object with the field `detached`, the names of the interfaces

EXAMPLES:
    sg-ctl detach eth0
    sg-ctl detach --missing
    sg-ctl detach --all";

/// Of `status`.
pub(crate) const STATUS: &str = "\
JSON: an object with these fields:
  generation    of the state on disk
  build         version and digest of the programs of this sg-ctl
  image         generation and kernel_bytes of the policy in the kernel, or null
  flow_table    flows (that fit) and bytes of kernel memory, live (flows), room (the same as
                flows), refused (packets that found no place), refused_at (interfaces), by_state,
                by_interface and by_remote (the first 10): of, flows, packets, bytes; or null
  rule_counters rules (that are counted), room, and bytes of kernel memory, or null
  pending       whether a change is under way or was interrupted
  under_way     whether the process of a change that is pending lives
  problems      interface (or null) and text of everything that is not as it should be
  interfaces    name, state (enforcing, auditing, isolated; preempted: other programs see packets
                first; half-attached; unreachable: pins of its maps are gone; not-attached;
                replaced: another interface has the name; missing), mode,
                deadline (passed and in_ms, or null), ifindex, zone, side, groups, ingress,
                egress, build (of its programs), programs_before (others that see packets first),
                log, passed, dropped and audited (inbound and outbound, packets and bytes),
                reasons (direction, verdict, reason, packets, bytes), flow_share (flows that the
                flow table keeps room for), flows_per_remote (0: any number), events_lost,
                events_suppressed (beyond log_limit: reason, events)
  not_attached  interfaces that the rules name, or mean by a pattern, and that are not attached

EXIT STATUS:
  4 if there are problems; with --check that is all that is told

EXAMPLES:
    sg-ctl status
    sg-ctl status --check || notify-the-administrator
    sg-ctl status --counters
    sg-ctl status --json | jq '.interfaces[] | {name, dropped: .dropped.inbound.packets}'";

/// Of `show`.
pub(crate) const SHOW: &str = "\
EXAMPLES:
    sg-ctl show groups
    sg-ctl show rules --group web
    sg-ctl show members --json";

/// Of `show groups`.
pub(crate) const SHOW_GROUPS: &str = "\
JSON: an array of objects with these fields:
  name, id, description, tags, inbound_rules, outbound_rules (numbers of rules), interfaces

EXAMPLES:
    sg-ctl show groups";

/// Of `show rules`.
pub(crate) const SHOW_RULES: &str = "\
JSON: an array of objects with these fields:
  group, group_id, direction, id, number (in flows and events; left out before the rule is in
  force), protocol (tcp, udp, icmp, icmpv6, all, or a number), from_port, to_port, icmp_type,
  icmp_code, peer (a range, pl:NAME or sg:NAME), description, file, line

With --counters an object for each rule of each attached interface, in the order that picks the
deciding rule, with these fields besides:
  interface, untracked (protocols whose flows the rule admits without tracking, which opens none:
  the table shows `untracked` for their number), counters: null when there is no room, else
    new_flows  flows that it opened
    packets    that it admitted: those of its flows, both directions, and those without a flow
    bytes      of these packets
    last_hit   when it last decided on a packet, as it does on the first one of a flow, or null
    since      when counting began: when the rule came into force on the interface
Packets of a flow belong to the rule that opened it. Packets that no rule admits are counted by
reason: sg-ctl status --counters.

EXAMPLES:
    sg-ctl show rules --group web
    sg-ctl show rules --counters --interface eth0
    sg-ctl show rules --never-hit
    sg-ctl show rules --json | jq '.[] | select(.peer == \"0.0.0.0/0\")'";

/// Of `show interfaces`.
pub(crate) const SHOW_INTERFACES: &str = "\
JSON: an array of objects with these fields:
  name (or pattern, which never is attached itself), attached, groups, side, hook (as asked for), audit, log, log_limit, related, tcp_pickup, infra,
  timeouts (in seconds), flow_share (null: an equal one; `status --json` has the number)

EXAMPLES:
    sg-ctl show interfaces";

/// Of `show members`.
pub(crate) const SHOW_MEMBERS: &str = "\
JSON: an array of objects with these fields:
  group, address, origin (file: named under `members` in a rule file; interface: an address of the
  guarded side of an interface), interface

EXAMPLES:
    sg-ctl show members";

/// Of `show infra`.
pub(crate) const SHOW_INFRA: &str = "\
JSON: an array of objects with these fields:
  interface, traffic, description, on, packets_in, bytes_in, packets_out, bytes_out

EXAMPLES:
    sg-ctl show infra";

/// Of `flows`.
pub(crate) const FLOWS: &str = "\
JSON: an array of objects with these fields:
  interface, opened (inbound or outbound), protocol, local, local_port, remote, remote_port,
  icmp_type, icmp_id, vlan (ids, outer first), state, age_ms, idle_ms, expires_in_ms,
  packets_in, packets_out, bytes_in, bytes_out,
  rule (number, id, group, group_id of the rule that admitted the flow, or null)
with --by, of objects with these:
  of (what the flows have in common), flows, packets, bytes, percent (of the flows that match)

EXAMPLES:
    sg-ctl flows
    sg-ctl flows --by remote --top 10
    sg-ctl flows --by state --interface eth0
    sg-ctl flows --interface eth0 --protocol tcp --remote 203.0.113.0/24
    sg-ctl flows --top 10 --watch
    sg-ctl flows --json | jq 'map(.bytes_out) | add'
    sg-ctl flows kill --rule sgr-934118424544edd63";

/// Of `flows kill`.
pub(crate) const FLOWS_KILL: &str = "\
JSON: an object with the field `killed`, the number of flows

EXAMPLES:
  End what a rule admitted that is gone now:
    sg-ctl flows kill --rule sgr-934118424544edd63

  Cut one peer off whom the rules no longer admit:
    sg-ctl flows kill --remote 203.0.113.7";

/// Of `logs`.
pub(crate) const LOGS: &str = "\
LINES:
  time, interface, direction, verdict (ALLOW, DENY, AUDIT-DENY), reason, protocol,
  source -> destination as on the wire, then as far as the packet has them
  flags= (TCP), type= code= (ICMP), vlan=, length=, and rule= group= of the deciding rule

JSON: one object per line; `type` tells which:
  verdict  time, interface, direction, verdict (allow or deny), audited, reason, protocol, source,
           source_port, destination, destination_port, tcp_flags, icmp_type, icmp_code, vlan,
           length, rule (number, id, group, group_id, or null)
  lost     time, events (lost since the last such line), total (lost since attach)
  suppressed  time, interface, reason, events (not logged since the last such line, for there were
           more than log_limit), total (not logged since attach)
  message  time, interface, level, text (a message of the programs themselves)

FIELDS:
  of AWS: version, account-id, interface-id, srcaddr, dstaddr, srcport, dstport, protocol, packets,
          bytes, start, end, action, log-status, tcp-flags, type, pkt-srcaddr, pkt-dstaddr,
          flow-direction
  ours:   sg-rule-id, sg-name (group), sg-reason

EXAMPLES:
  What was dropped until now, and what is being dropped:
    sg-ctl logs --denied
    sg-ctl logs -f --denied --interface eth0

  For tools that read AWS VPC Flow Logs, and with what those cannot say:
    sg-ctl logs -f --format vpc
    sg-ctl logs -f --fields 'version srcaddr dstaddr dstport action sg-reason sg-rule-id'

  Dropped packets for Wireshark (their first 128 bytes), those that wait and those to come:
    sg-ctl logs --denied --pcapng drops.pcapng
    sg-ctl logs -f --denied --pcapng - | wireshark -k -i -

  Who knocks on closed ports:
    sg-ctl logs --json | jq -r 'select(.reason == \"no-rule\") | .source' | sort | uniq -c";

/// The ways to give `explain` a packet.
pub(crate) const EXPLAIN_USAGE: &str = "\
sg-ctl explain [OPTIONS] --inbound <PROTOCOL> <SOURCE> [DESTINATION]
       sg-ctl explain [OPTIONS] --outbound <PROTOCOL> <SOURCE> [DESTINATION]
       sg-ctl explain [OPTIONS] --log <LINE>";

/// Of `explain`.
pub(crate) const EXPLAIN: &str = "\
JSON: an object with these fields:
  interface, packet, verdict (allow or deny), audited, reason, rule (number, id, group, group_id),
  steps      step and finding of each
  nearest    rules that come near: id, group, protocol, ports, peer, why, file, line
  elsewhere  groups that would admit the packet and that the interface does not carry
  hints      what a denied packet may be a part of, in words

EXAMPLES:
  May the internet reach the web server, and if not, why not:
    sg-ctl explain --interface eth0 --inbound tcp 203.0.113.7:40000 443

  Why was this packet dropped:
    sg-ctl explain --log \"$(sg-ctl logs --denied --json | tail -1)\"

  What would a rule file do:
    sg-ctl explain -f web.yaml --group web --outbound udp 10.0.0.2:53
    sg-ctl explain -f web.yaml --group web --inbound icmp 203.0.113.7 --icmp 3/4";

/// Of `test`.
pub(crate) const TEST: &str = "\
CASES:
    rules: [web.yaml]              # beside this file
    cases:
      - name: the internet reaches the web server
        groups: [web]              # or `interface: eth0`, which the rules describe
        inbound: tcp 203.0.113.7:40000 443
        expect: allow              # or `deny`
      - groups: [web]
        inbound: icmp 203.0.113.7
        icmp: 3/4                  # type and code; an echo request without it
        expect: deny
        reason: no-rule            # `reason`, `rule` and `group` may be left out

JSON: an object with these fields:
  passed, failed, cases (file, name, packet, expected, verdict, reason, rule, group, passed, why)

EXAMPLES:
    sg-ctl test cases.yaml
    sg-ctl test cases.yaml -f new-rules.yaml
    sg-ctl test cases.yaml --junit report.xml";

/// Of `check`.
pub(crate) const CHECK: &str = "\
JSON: an object with these fields:
  valid       whether the files may be applied
  findings    errors and warnings: severity, file, line, column, field, message, help
  interfaces  name, groups, and rules, in the order that picks the deciding one: group, group_id,
              direction, id, protocol (tcp, udp, icmp, icmpv6, all, or a number), from_port,
              to_port, icmp_type, icmp_code, peer (a range, pl:NAME or sg:NAME), description,
              file, line, ranges (address ranges that the peer stands for), untracked (protocols
              whose flows need no tracking when this rule admits them)

EXAMPLES:
    sg-ctl check rules.yaml
    sg-ctl check groups.yaml interfaces.yaml --json";

/// Of `replay`.
pub(crate) const REPLAY: &str = "\
LINES:
  number of the packet in its capture, then as `sg-ctl logs` prints verdicts

JSON: one object per line; `type` tells which:
  verdict  capture, index (number of the packet in its capture, from 1), cut (whether the capture
           lacks part of its headers, for which zeros stand), and the fields of `sg-ctl logs`:
           time, interface, direction, verdict (allow or deny), audited (always false), reason,
           protocol, source, source_port, destination, destination_port, tcp_flags, icmp_type,
           icmp_code, vlan, length, rule (number, id, group, group_id, or null)
  summary  captures, interface, groups, side, hook, first, latest (times), packets, judged, passed,
           dropped (packets and bytes), cut, skipped (not-local, link-type, too-short, too-long),
           reasons (direction, verdict, reason, packets, bytes),
           rules (all of the interface: group, group_id, direction, id, protocol, ports, peer,
           flows, packets, bytes, latest),
           drops (direction, reason, protocol, local, remote, port, icmp_type, icmp_code, packets,
           bytes, first), other_drops (packets of more kinds than are listed)

HOW PACKETS ARE TAKEN:
  Both ends local: outbound. A frame without IP addresses: inbound, unless the capture says that
  this host sent it.
  The first packet comes at the moment of attaching: for 120 s connections that are under way are
  picked up, unless tcp_pickup says otherwise. Time never runs back.
  Bytes that were not captured are zeros. An IPv4 packet of length 0 has what is in its frame:
  segmentation offload was to fill the length in. Frames beyond 3 KiB are judged by their first
  3 KiB, with lengths to match; one whose headers go on beyond that is skipped, too-long.
  Time passes in steps of 1 ms. `audit` and `log` of the interface do not matter.
  Ethernet, Linux cooked (SLL, SLL2), raw IP and BSD loopback captures are taken.

EXAMPLES:
  What would these rules have dropped of yesterday's traffic?
    sg-ctl replay eth0.pcap -f web.yaml -i eth0 --group web --local 10.0.1.5 --only dropped

  Only the counts, and the drops for Wireshark:
    sg-ctl replay eth0.pcap -f web.yaml -i eth0 --local 10.0.1.5 --summary \\
      --write-dropped drops.pcapng

  Who would have been turned away:
    sg-ctl replay day-*.pcap -f web.yaml -i eth0 --local 10.0.1.0/24 --only dropped --json |
      jq -r 'select(.type == \"verdict\") | .source' | sort | uniq -c";

/// Of `schema`.
pub(crate) const SCHEMA: &str = "\
EXAMPLES:
    sg-ctl schema > sg.schema.json

  In the first line of a rule file, for editors with a YAML language server:
    # yaml-language-server: $schema=sg.schema.json";

/// Of `import`.
pub(crate) const IMPORT: &str = "\
JSON: an object with these fields:
  rules     the rule file as JSON, or null after an error
  findings  errors and warnings: severity, file, line, column, field, message, help
  omitted_findings
            how many more there are: of very many only the first are told

EXAMPLES:
  From an AWS account; all files together are one description:
    aws ec2 describe-security-groups > groups.json
    aws ec2 describe-security-group-rules > rules.json         (ids of rules)
    aws ec2 describe-managed-prefix-lists > lists.json
    aws ec2 get-managed-prefix-list-entries --prefix-list-id pl-0a1b2c3d4e5f60718 \\
        > pl-0a1b2c3d4e5f60718.json                            (named after the list)
    aws ec2 describe-network-interfaces > interfaces.json      (members of groups)
    sg-ctl import *.json -o rules.yaml

  From the state of Terraform, or from a plan:
    terraform show -json | sg-ctl import - -o rules.yaml
    terraform plan -out=plan && terraform show -json plan | sg-ctl import -

  From OpenStack:
    openstack security group list -f json > groups.json
    openstack security group rule list --long -f json > rules.json
    openstack port list --long -f json > ports.json             (members of groups)
    sg-ctl import groups.json rules.json ports.json -o rules.yaml

  From a CloudFormation template, refusing whatever does not fit:
    sg-ctl import --strict template.yaml --parameter Stage=prod -o rules.yaml
    sg-ctl check rules.yaml

  From several, which export to each other, and import from stacks that are not here:
    sg-ctl import network.yaml db.yaml --import vpn-range=10.8.0.0/16";

/// Of `export`.
pub(crate) const EXPORT: &str = "\
EXAMPLES:
  The rules in force, as one file:
    sg-ctl export > rules.yaml

  For tools that read what the AWS CLI prints:
    sg-ctl export -f rules.yaml --format aws-json | jq '.SecurityGroups[].GroupName'";
