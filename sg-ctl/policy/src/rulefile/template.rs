//! The named rules of the Terraform module for security groups that most people know
//! (`terraform-aws-modules/security-group`, `rules.tf` of version 5.3.1), by the names it gives
//! them, its own slips included: `carbon-gui-udp` is TCP, `smtps-2456-tcp` is port 2465.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use sg_common::proto::{ICMP, ICMPV6};

use super::decode::{Cursor, Decode, nearest};
use super::error::Problems;
use crate::model::{Service, Transport};

/// A named service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Template {
    /// The name, in lower case.
    pub name: &'static str,
    /// What a rule of this name admits.
    pub service: Service,
}

const fn ports(name: &'static str, protocol: Transport, from: u16, to: u16) -> Template {
    Template {
        name,
        service: Service::Ports { protocol, from, to },
    }
}

const fn tcp(name: &'static str, from: u16, to: u16) -> Template {
    ports(name, Transport::Tcp, from, to)
}

const fn udp(name: &'static str, from: u16, to: u16) -> Template {
    ports(name, Transport::Udp, from, to)
}

/// Every template, in the order of the module.
#[rustfmt::skip]
pub const TEMPLATES: [Template; 155] = [
    tcp("activemq-5671-tcp", 5671, 5671),
    tcp("activemq-8883-tcp", 8883, 8883),
    tcp("activemq-61614-tcp", 61614, 61614),
    tcp("activemq-61617-tcp", 61617, 61617),
    tcp("activemq-61619-tcp", 61619, 61619),
    tcp("alertmanager-9093-tcp", 9093, 9093),
    tcp("alertmanager-9094-tcp", 9094, 9094),
    tcp("carbon-line-in-tcp", 2003, 2003),
    udp("carbon-line-in-udp", 2003, 2003),
    tcp("carbon-pickle-tcp", 2013, 2013),
    udp("carbon-pickle-udp", 2013, 2013),
    tcp("carbon-admin-tcp", 2004, 2004),
    tcp("carbon-gui-udp", 8081, 8081),
    tcp("cassandra-clients-tcp", 9042, 9042),
    tcp("cassandra-thrift-clients-tcp", 9160, 9160),
    tcp("cassandra-jmx-tcp", 7199, 7199),
    tcp("consul-tcp", 8300, 8300),
    tcp("consul-grpc-tcp", 8502, 8502),
    tcp("consul-grpc-tcp-tls", 8503, 8503),
    tcp("consul-webui-http-tcp", 8500, 8500),
    tcp("consul-webui-https-tcp", 8501, 8501),
    tcp("consul-dns-tcp", 8600, 8600),
    udp("consul-dns-udp", 8600, 8600),
    tcp("consul-serf-lan-tcp", 8301, 8301),
    udp("consul-serf-lan-udp", 8301, 8301),
    tcp("consul-serf-wan-tcp", 8302, 8302),
    udp("consul-serf-wan-udp", 8302, 8302),
    tcp("dax-cluster-unencrypted-tcp", 8111, 8111),
    tcp("dax-cluster-encrypted-tcp", 9111, 9111),
    tcp("docker-swarm-mngmt-tcp", 2377, 2377),
    tcp("docker-swarm-node-tcp", 7946, 7946),
    udp("docker-swarm-node-udp", 7946, 7946),
    udp("docker-swarm-overlay-udp", 4789, 4789),
    udp("dns-udp", 53, 53),
    tcp("dns-tcp", 53, 53),
    tcp("etcd-client-tcp", 2379, 2379),
    tcp("etcd-peer-tcp", 2380, 2380),
    udp("ntp-udp", 123, 123),
    tcp("elasticsearch-rest-tcp", 9200, 9200),
    tcp("elasticsearch-java-tcp", 9300, 9300),
    tcp("grafana-tcp", 3000, 3000),
    tcp("graphite-webui", 80, 80),
    tcp("graphite-2003-tcp", 2003, 2003),
    tcp("graphite-2004-tcp", 2004, 2004),
    tcp("graphite-2023-tcp", 2023, 2023),
    tcp("graphite-2024-tcp", 2024, 2024),
    tcp("graphite-8080-tcp", 8080, 8080),
    tcp("graphite-8125-tcp", 8125, 8125),
    udp("graphite-8125-udp", 8125, 8125),
    tcp("graphite-8126-tcp", 8126, 8126),
    tcp("http-80-tcp", 80, 80),
    tcp("http-8080-tcp", 8080, 8080),
    tcp("https-443-tcp", 443, 443),
    tcp("https-8443-tcp", 8443, 8443),
    udp("ipsec-500-udp", 500, 500),
    udp("ipsec-4500-udp", 4500, 4500),
    tcp("kafka-broker-tcp", 9092, 9092),
    tcp("kafka-broker-tls-tcp", 9094, 9094),
    tcp("kafka-broker-tls-public-tcp", 9194, 9194),
    tcp("kafka-broker-sasl-scram-tcp", 9096, 9096),
    tcp("kafka-broker-sasl-scram-public-tcp", 9196, 9196),
    tcp("kafka-broker-sasl-iam-tcp", 9098, 9098),
    tcp("kafka-broker-sasl-iam-public-tcp", 9198, 9198),
    tcp("kafka-jmx-exporter-tcp", 11001, 11001),
    tcp("kafka-node-exporter-tcp", 11002, 11002),
    tcp("kibana-tcp", 5601, 5601),
    tcp("kubernetes-api-tcp", 6443, 6443),
    tcp("ldap-tcp", 389, 389),
    tcp("ldaps-tcp", 636, 636),
    tcp("logstash-tcp", 5044, 5044),
    tcp("loki-grafana", 3100, 3100),
    tcp("loki-grafana-grpc", 9095, 9095),
    tcp("memcached-tcp", 11211, 11211),
    tcp("minio-tcp", 9000, 9000),
    tcp("mongodb-27017-tcp", 27017, 27017),
    tcp("mongodb-27018-tcp", 27018, 27018),
    tcp("mongodb-27019-tcp", 27019, 27019),
    tcp("mysql-tcp", 3306, 3306),
    tcp("mssql-tcp", 1433, 1433),
    udp("mssql-udp", 1434, 1434),
    tcp("mssql-analytics-tcp", 2383, 2383),
    tcp("mssql-broker-tcp", 4022, 4022),
    tcp("nfs-tcp", 2049, 2049),
    tcp("nomad-http-tcp", 4646, 4646),
    tcp("nomad-rpc-tcp", 4647, 4647),
    tcp("nomad-serf-tcp", 4648, 4648),
    udp("nomad-serf-udp", 4648, 4648),
    udp("openvpn-udp", 1194, 1194),
    tcp("openvpn-tcp", 943, 943),
    tcp("openvpn-https-tcp", 443, 443),
    tcp("postgresql-tcp", 5432, 5432),
    tcp("puppet-tcp", 8140, 8140),
    tcp("puppetdb-tcp", 8081, 8081),
    tcp("prometheus-http-tcp", 9090, 9090),
    tcp("prometheus-pushgateway-http-tcp", 9091, 9091),
    tcp("prometheus-node-exporter-http-tcp", 9100, 9100),
    tcp("promtail-http", 9080, 9080),
    tcp("oracle-db-tcp", 1521, 1521),
    tcp("octopus-tentacle-tcp", 10933, 10933),
    tcp("rabbitmq-4369-tcp", 4369, 4369),
    tcp("rabbitmq-5671-tcp", 5671, 5671),
    tcp("rabbitmq-5672-tcp", 5672, 5672),
    tcp("rabbitmq-15672-tcp", 15672, 15672),
    tcp("rabbitmq-25672-tcp", 25672, 25672),
    tcp("rdp-tcp", 3389, 3389),
    udp("rdp-udp", 3389, 3389),
    tcp("redis-tcp", 6379, 6379),
    tcp("redshift-tcp", 5439, 5439),
    tcp("saltstack-tcp", 4505, 4506),
    tcp("smtp-tcp", 25, 25),
    tcp("smtp-submission-587-tcp", 587, 587),
    tcp("smtp-submission-2587-tcp", 2587, 2587),
    tcp("smtps-465-tcp", 465, 465),
    tcp("smtps-2456-tcp", 2465, 2465),
    tcp("solr-tcp", 8983, 8987),
    tcp("splunk-indexer-tcp", 9997, 9997),
    tcp("splunk-web-tcp", 8000, 8000),
    tcp("splunk-splunkd-tcp", 8089, 8089),
    tcp("splunk-hec-tcp", 8088, 8088),
    tcp("squid-proxy-tcp", 3128, 3128),
    tcp("ssh-tcp", 22, 22),
    tcp("storm-nimbus-tcp", 6627, 6627),
    tcp("storm-ui-tcp", 8080, 8080),
    tcp("storm-supervisor-tcp", 6700, 6703),
    tcp("vault-tcp", 8200, 8200),
    tcp("wazuh-server-agent-connection-tcp", 1514, 1514),
    udp("wazuh-server-agent-connection-udp", 1514, 1514),
    tcp("wazuh-server-agent-enrollment", 1515, 1515),
    tcp("wazuh-server-agent-cluster-daemon", 1516, 1516),
    tcp("wazuh-server-syslog-collector-tcp", 514, 514),
    udp("wazuh-server-syslog-collector-udp", 514, 514),
    tcp("wazuh-server-restful-api", 55000, 55000),
    tcp("wazuh-indexer-restful-api", 9200, 9200),
    tcp("wazuh-dashboard", 443, 443),
    tcp("web-jmx-tcp", 1099, 1099),
    tcp("winrm-http-tcp", 5985, 5985),
    tcp("winrm-https-tcp", 5986, 5986),
    tcp("zabbix-server", 10051, 10051),
    tcp("zabbix-proxy", 10051, 10051),
    tcp("zabbix-agent", 10050, 10050),
    tcp("zipkin-admin-tcp", 9990, 9990),
    tcp("zipkin-admin-query-tcp", 9901, 9901),
    tcp("zipkin-admin-web-tcp", 9991, 9991),
    tcp("zipkin-query-tcp", 9411, 9411),
    tcp("zipkin-web-tcp", 8080, 8080),
    tcp("zookeeper-2181-tcp", 2181, 2181),
    tcp("zookeeper-2182-tls-tcp", 2182, 2182),
    tcp("zookeeper-2888-tcp", 2888, 2888),
    tcp("zookeeper-3888-tcp", 3888, 3888),
    tcp("zookeeper-jmx-tcp", 7199, 7199),
    Template { name: "all-all", service: Service::All },
    tcp("all-tcp", 0, 65535),
    udp("all-udp", 0, 65535),
    Template { name: "all-icmp", service: Service::protocol(ICMP) },
    Template { name: "all-ipv6-icmp", service: Service::protocol(ICMPV6) },
];

impl JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A named rule, such as `kafka-broker-tcp`; `sg-ctl templates` lists them.",
            "enum": TEMPLATES.map(|each| each.name).to_vec(),
        })
    }
}

impl Decode for Template {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let text = cursor.scalar("a template, such as kafka-broker-tcp", problems)?;
        if let Some(known) = TEMPLATES.iter().find(|each| each.name == text) {
            return Some(*known);
        }
        cursor.refuse(problems, format!("`{text}` is no template"), near(text))
    }
}

/// The templates that `text` may mean: misspelt, or a part of the name.
fn near(text: &str) -> String {
    let lower = text.to_lowercase();
    if let Some(name) = nearest(&lower, TEMPLATES.iter().map(|each| each.name)) {
        return format!("did you mean `{name}`?");
    }
    // `kafka` of `kafka-brokers` says what the name is about.
    let subject = lower.split('-').next().filter(|word| !word.is_empty());
    let about: Vec<_> = TEMPLATES
        .iter()
        .map(|each| each.name)
        .filter(|name| subject.is_some_and(|subject| name.starts_with(subject)))
        .collect();
    if about.is_empty() {
        return "`sg-ctl templates` lists them; or write `protocol` and `ports`".to_owned();
    }
    format!("there are {}", about.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = TEMPLATES.iter().map(|each| each.name).collect();
        assert_eq!(names.len(), TEMPLATES.len());
    }

    #[test]
    fn names_that_end_in_a_protocol_mean_it_but_for_the_one_slip() {
        for Template { name, service } in TEMPLATES {
            let said = service.protocol_text();
            let named = ["tcp", "udp"]
                .into_iter()
                .find(|word| name.ends_with(&format!("-{word}")));
            if let Some(named) = named {
                assert_eq!(said == named, name != "carbon-gui-udp", "{name}: {service}");
            }
        }
    }
}
