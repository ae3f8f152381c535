//! The log as the command tells it: what is missing from it, and captures.

use std::{fs, net::UdpSocket};

use pcap_parser::{
    Block, OptionCode, PcapBlockOwned, PcapError, PcapNGReader, traits::PcapNGPacketBlock as _,
    traits::PcapReaderIterator as _,
};
use serde_json::Value;
use sg_tests::topology::{Host, Network};

use super::attached::{Side, guard, packets};

const RULES: &str = "
    security_groups: { tested: { inbound: [], outbound: [] } }
    interfaces: { eth0: { groups: [tested], log: denied, log_limit: 5 } }
";

/// Sends datagrams to a host.
fn send(client: &Host, server: &Host, texts: &[&str]) {
    client.namespace.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        for text in texts {
            let to = (server.v4, 4242);
            socket.send_to(text.as_bytes(), to).expect("it is sent");
        }
    });
}

#[test]
fn what_is_beyond_the_limit_is_told_by_interface_and_reason() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    send(client, server, &["flood"; 300]);
    let dropped = packets(&sg, "inbound", "no-rule");
    assert!(dropped >= 300, "{dropped}");
    let text = sg.ok(&["logs", "--json"]);
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of_type = |kind: &'static str| lines.iter().filter(move |line| line["type"] == kind);
    let [suppressed] = &of_type("suppressed").collect::<Vec<_>>()[..] else {
        panic!("{text}");
    };
    assert_eq!(suppressed["interface"], "eth0");
    assert_eq!(suppressed["reason"], "no-rule");
    assert_eq!(suppressed["events"], suppressed["total"]);
    let missing = suppressed["events"].as_u64().expect("a number");
    let logged = of_type("verdict").count() as u64;
    assert_eq!(logged + missing, packets(&sg, "inbound", "no-rule"));
    assert!(logged >= 5 && missing > 0, "{text}");
    let status = sg.json(&["status"]);
    let told = &status["interfaces"][0]["events_suppressed"][0];
    assert_eq!(
        (&told["reason"], told["events"].as_u64()),
        (&"no-rule".into(), Some(missing))
    );
    let text = sg.ok(&["logs"]);
    assert!(
        text.contains(&format!("eth0 … {missing} drops not logged since attach")),
        "{text}"
    );
}

#[test]
fn times_are_right_in_a_time_namespace() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let now = || {
        std::time::UNIX_EPOCH
            .elapsed()
            .expect("it is later")
            .as_secs()
    };
    let before = now();
    send(client, server, &["hello"]);
    let Some(told) = sg.run_ten_days_ahead(&["logs", "--format", "vpc"]) else {
        println!("skipped: no time namespaces here");
        return;
    };
    let lines: Vec<_> = told
        .stdout
        .lines()
        .filter(|line| line.contains(" 4242 "))
        .collect();
    assert_eq!(lines.len(), 1, "{told:#?}");
    let is_now = |word: &str| {
        word.parse()
            .is_ok_and(|time| (before - 1..=now() + 1).contains(&time))
    };
    assert!(lines[0].split(' ').any(is_now), "{told:#?}");
}

#[test]
fn dropped_packets_are_captured_with_verdict_and_interface() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let long = "x".repeat(300);
    send(client, server, &["hello", &long]);
    let path = sg.directory().join("drops.pcapng");
    let name = path.display().to_string();
    sg.ok(&["logs", "--denied", "--pcapng", &name]);
    let bytes = fs::read(&path).expect("a file");
    let mut reader = PcapNGReader::new(65_536, &bytes[..]).expect("a section");
    let mut interfaces = Vec::new();
    let mut found = Vec::new();
    loop {
        match reader.next() {
            Ok((length, PcapBlockOwned::NG(block))) => {
                match block {
                    Block::InterfaceDescription(block) => {
                        let name = block.if_name().expect("a name").expect("UTF-8");
                        interfaces.push((name.to_owned(), block.linktype));
                    }
                    Block::EnhancedPacket(block) => {
                        let comment = |option: &&pcap_parser::PcapNGOption<'_>| {
                            option.code == OptionCode::Comment
                        };
                        let comment = block.options.iter().find(comment).expect("a comment");
                        let comment = &comment.value[..usize::from(comment.len)];
                        found.push((
                            String::from_utf8(comment.to_vec()).expect("UTF-8"),
                            block.packet_data().to_vec(),
                            block.origlen,
                        ));
                    }
                    _ => {}
                }
                reader.consume(length);
            }
            Err(PcapError::Incomplete(_)) => reader.refill().expect("memory"),
            Err(PcapError::Eof) => break,
            Ok(_) => panic!("another format"),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(
        interfaces,
        [("eth0".to_owned(), pcap_parser::Linktype::ETHERNET)]
    );
    // The kernel may have sent something of its own that is dropped, too.
    found.retain(|(_, data, _)| {
        data.get(23) == Some(&17) && data.get(36..38) == Some(&4242_u16.to_be_bytes())
    });
    let [(comment, hello, hello_length), (_, start, length)] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(comment, "inbound DENY no-rule");
    // Ethernet, IPv4 and UDP headers, then the text.
    assert_eq!(&hello[42..47], b"hello");
    assert_eq!(hello[26..30], client.v4.octets());
    assert_eq!(*hello_length as usize, hello.len());
    assert_eq!((start.len(), *length), (128, 342));
    assert!(start[42..].iter().all(|byte| *byte == b'x'));
}

#[test]
fn events_that_cannot_be_written_out_are_not_taken() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    send(client, server, &["one"]);
    let full = fs::File::options().write(true).open("/dev/full");
    let code = sg.run_into(full.expect("the kernel has it"), &["logs"]);
    assert_ne!(code, 0);
    let text = sg.ok(&["logs", "--json"]);
    assert!(text.contains(r#""type":"verdict""#), "{text}");
}
