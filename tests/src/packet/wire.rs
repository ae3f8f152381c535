//! From a described packet to its bytes: every length and checksum right.

use std::net::IpAddr;

use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpFragOffset, IpNumber, Ipv4Header,
    Ipv6Header, TcpHeader, UdpHeader,
};

use super::{Extension, Frame, Upper, ethernet, flags};

impl Frame {
    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        self.wrap(&self.packet())
    }

    /// The IP packet without its Ethernet header.
    pub fn packet(&self) -> Vec<u8> {
        self.ip_header(&self.segment(), &self.extensions, None)
    }

    /// The frames of this packet in fragments of `size` bytes, a multiple of 8.
    pub fn fragments(&self, id: u16, size: usize) -> Vec<Vec<u8>> {
        let segment = self.segment();
        let last = segment.len().div_ceil(size) - 1;
        let piece = |(i, part): (usize, &[u8])| {
            let (offset, more) = ((i * size / 8) as u16, i < last);
            let packet = if self.from.address.is_ipv4() {
                self.ip_header(part, &[], Some((id, offset, more)))
            } else {
                let mut extensions = self.extensions.clone();
                extensions.push(Extension::fragment(u32::from(id), offset, more));
                self.ip_header(part, &extensions, None)
            };
            self.wrap(&packet)
        };
        segment.chunks(size).enumerate().map(piece).collect()
    }

    /// Adds Ethernet header and tags.
    fn wrap(&self, packet: &[u8]) -> Vec<u8> {
        let ip = if self.from.address.is_ipv4() {
            0x0800_u16
        } else {
            0x86dd
        };
        let outer = self.tags.first().map_or(ip, |tag| tag.0);
        let mut body = Vec::new();
        for (i, (_, id)) in self.tags.iter().enumerate() {
            body.extend(id.to_be_bytes());
            body.extend(self.tags.get(i + 1).map_or(ip, |tag| tag.0).to_be_bytes());
        }
        body.extend(packet);
        ethernet(outer, &body)
    }

    fn protocol(&self) -> u8 {
        match self.upper {
            Upper::Tcp(..) => 6,
            Upper::Udp => 17,
            Upper::Icmp(..) if self.from.address.is_ipv4() => 1,
            Upper::Icmp(..) => 58,
            Upper::Raw(protocol) => protocol,
        }
    }

    /// Upper header and data.
    fn segment(&self) -> Vec<u8> {
        let header = match self.upper {
            Upper::Tcp(flags, options) => self.tcp_header(flags, options),
            Upper::Udp => self.udp_header(),
            Upper::Icmp(kind, code, rest) => self.icmp_header(kind, code, rest),
            Upper::Raw(_) => Vec::new(),
        };
        [&header[..], &self.data].concat()
    }

    fn tcp_header(&self, flags: u8, options: usize) -> Vec<u8> {
        let mut header = TcpHeader::new(self.from.port, self.to.port, 0, 4096);
        let (seq, ack) = self.numbers.unwrap_or_else(|| Self::numbers_of(flags));
        header.sequence_number = seq;
        header.acknowledgment_number = ack;
        header
            .set_options_raw(&vec![1; options])
            .expect("at most 40 bytes of options");
        header.fin = flags & flags::FIN != 0;
        header.syn = flags & flags::SYN != 0;
        header.rst = flags & flags::RST != 0;
        header.psh = flags & flags::PSH != 0;
        header.ack = flags & flags::ACK != 0;
        header.urg = flags & flags::URG != 0;
        header.ece = flags & 0x40 != 0;
        header.cwr = flags & 0x80 != 0;
        let checksum = match (self.from.address, self.to.address) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &self.data)
            }
            (from, to) => header.calc_checksum_ipv6_raw(v6(from), v6(to), &self.data),
        };
        header.checksum = checksum.expect("test data is short");
        header.to_bytes().to_vec()
    }

    fn udp_header(&self) -> Vec<u8> {
        let (source, destination) = (self.from.port, self.to.port);
        let header = if self.from.address.is_ipv4() {
            let ip = self.ipv4_header(0, None);
            UdpHeader::with_ipv4_checksum(source, destination, &ip, &self.data)
        } else {
            let ip = self.ipv6_header(0, 17);
            UdpHeader::with_ipv6_checksum(source, destination, &ip, &self.data)
        };
        header.expect("test data is short").to_bytes().to_vec()
    }

    fn icmp_header(&self, type_u8: u8, code_u8: u8, bytes5to8: [u8; 4]) -> Vec<u8> {
        if let (IpAddr::V6(from), IpAddr::V6(to)) = (self.from.address, self.to.address) {
            let kind = Icmpv6Type::Unknown {
                type_u8,
                code_u8,
                bytes5to8,
            };
            let (from, to) = (from.octets(), to.octets());
            return Icmpv6Header::with_checksum(kind, from, to, &self.data)
                .expect("test data is short")
                .to_bytes()
                .to_vec();
        }
        let kind = Icmpv4Type::Unknown {
            type_u8,
            code_u8,
            bytes5to8,
        };
        Icmpv4Header::with_checksum(kind, &self.data)
            .to_bytes()
            .to_vec()
    }

    /// Puts IP header and extension headers before `part`.
    fn ip_header(
        &self,
        part: &[u8],
        extensions: &[Extension],
        fragment: Option<(u16, u16, bool)>,
    ) -> Vec<u8> {
        if self.from.address.is_ipv4() {
            assert!(extensions.is_empty(), "IPv4 has no extension headers");
            let header = self.ipv4_header(part.len(), fragment);
            return [&header.to_bytes()[..], part].concat();
        }
        assert!(self.options.is_empty(), "IPv6 has no options");
        let mut chain = Vec::new();
        for (i, extension) in extensions.iter().enumerate() {
            let next = extensions.get(i + 1).map(|next| next.number);
            chain.push(next.unwrap_or_else(|| self.protocol()));
            chain.extend(&extension.body);
        }
        let first = extensions.first().map(|first| first.number);
        let header = self.ipv6_header(
            chain.len() + part.len(),
            first.unwrap_or_else(|| self.protocol()),
        );
        [&header.to_bytes()[..], &chain, part].concat()
    }

    fn ipv4_header(&self, payload: usize, fragment: Option<(u16, u16, bool)>) -> Ipv4Header {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (self.from.address, self.to.address) else {
            panic!("not IPv4: {:?}", self.from);
        };
        let mut header = Ipv4Header::new(
            0,
            self.hop_limit,
            IpNumber(self.protocol()),
            from.octets(),
            to.octets(),
        )
        .expect("an empty payload fits");
        let options = self.options.as_slice().try_into();
        header.options = options.expect("options are a multiple of 4 bytes");
        header.set_payload_len(payload).expect("test data is short");
        if let Some((id, offset, more)) = fragment {
            header.identification = id;
            header.dont_fragment = false;
            header.more_fragments = more;
            header.fragment_offset = IpFragOffset::try_new(offset).expect("13 bits");
        }
        header.header_checksum = header.calc_header_checksum();
        header
    }

    fn ipv6_header(&self, payload: usize, next_header: u8) -> Ipv6Header {
        Ipv6Header {
            payload_length: payload as u16,
            next_header: IpNumber(next_header),
            hop_limit: self.hop_limit,
            source: v6(self.from.address),
            destination: v6(self.to.address),
            ..Ipv6Header::default()
        }
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => panic!("not IPv6: {v4}"),
    }
}
