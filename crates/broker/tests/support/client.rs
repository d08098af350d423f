//! An MQTT client over rustls, blocking and without opinions: it sends what it is told.

use super::{Cloud, Device, PATIENCE, ca_der};
use mqtt_wire::{
    Ack, Connect, FilterRequest, Packet, PacketId, Properties, ProtocolVersion, ProtocolVersion::V311,
    Publish, QoS, ReasonCode, Subscribe, SubscribeFilters, SubscriptionOptions, TopicFilter, TopicName, Will,
};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// What CONNECT says.
#[derive(Clone)]
pub(crate) struct Options<'a> {
    pub(crate) version: ProtocolVersion,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) keep_alive_s: u16,
    pub(crate) clean_session: bool,
    pub(crate) will: Option<(&'a str, &'a str)>,
    pub(crate) will_retain: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            version: V311,
            client_id: None,
            keep_alive_s: 60,
            clean_session: true,
            will: None,
            will_retain: false,
        }
    }
}

/// How a client does TLS; keeps its tickets.
#[derive(Clone)]
pub(crate) struct TlsSetup(Arc<ClientConfig>);

impl TlsSetup {
    pub(crate) fn new(device: Option<&Device>, versions: &[&'static SupportedProtocolVersion]) -> Self {
        Self::changed(device, versions, |_| {})
    }

    pub(crate) fn changed(
        device: Option<&Device>,
        versions: &[&'static SupportedProtocolVersion],
        change: impl FnOnce(&mut ClientConfig),
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(ca_der())).expect("our root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("known versions")
            .with_root_certificates(roots);
        let mut config = match device {
            None => builder.with_no_client_auth(),
            Some(device) => {
                let chain = vec![CertificateDer::from(device.certificate.clone())];
                let key = PrivateKeyDer::from_pem_slice(device.key_pem.as_bytes()).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a key that fits")
            }
        };
        config.resumption = Resumption::in_memory_sessions(8);
        change(&mut config);
        Self(Arc::new(config))
    }
}

impl Device {
    pub(crate) fn tls(&self) -> TlsSetup {
        TlsSetup::new(Some(self), rustls::ALL_VERSIONS)
    }
}

pub(crate) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    input: Vec<u8>,
    version: ProtocolVersion,
    pub(crate) name: String,
}

/// A packet that owns what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    Publish {
        topic: String,
        payload: String,
        qos: u8,
        packet_id: Option<u16>,
    },
    PubAck(u16),
    /// A PUBACK that says no more than that it was received.
    Refused(u16, ReasonCode),
    /// The steps of QoS 2.
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    SubAck(Vec<u8>),
    UnsubAck(u16),
    Pong,
    ConnAck(Vec<u8>),
}

/// A QoS 0 message as it should arrive.
pub(crate) fn received(topic: &str, payload: &str) -> Received {
    Received::Publish { topic: topic.to_owned(), payload: payload.to_owned(), qos: 0, packet_id: None }
}

impl Client {
    /// TCP and TLS, no MQTT yet.
    pub(crate) fn dial(address: SocketAddr, tls: &TlsSetup) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let server = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(Arc::clone(&tls.0), server).expect("a connection");
        let mut socket = socket;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Self {
            stream: StreamOwned::new(connection, socket),
            input: Vec::new(),
            version: V311,
            name: String::new(),
        })
    }

    /// Connects and checks that the CONNACK is exactly what the post's device waits for.
    pub(crate) fn connect(cloud: &Cloud, device: &Device, options: &Options<'_>) -> Self {
        Self::connect_with(cloud, &device.tls(), &device.name, options)
    }

    pub(crate) fn connect_with(cloud: &Cloud, tls: &TlsSetup, name: &str, options: &Options<'_>) -> Self {
        let mut client = Self::dial(cloud.broker.mqtts_addr(), tls).expect("a TLS handshake");
        client.name = options.client_id.unwrap_or(name).to_owned();
        client.send_connect(name, options);
        match client.receive() {
            Received::ConnAck(connack) if options.version != V311 => assert_eq!(connack[2..4], [0, 0]),
            connack => assert_eq!(connack, Received::ConnAck(vec![0x20, 2, 0, 0])),
        }
        client
    }

    pub(crate) fn send_connect(&mut self, name: &str, options: &Options<'_>) {
        self.version = options.version;
        let will = options.will.map(|(topic, payload)| Will {
            topic: TopicName::parse(topic).expect("a topic"),
            payload: payload.as_bytes(),
            qos: QoS::AtLeastOnce,
            retain: options.will_retain,
            properties: Properties::NONE,
        });
        self.send(&Packet::Connect(Connect {
            version: options.version,
            clean_start: options.clean_session,
            keep_alive_s: options.keep_alive_s,
            properties: Properties::NONE,
            client_id: options.client_id.unwrap_or(name),
            will,
            username: None,
            password: None,
        }));
    }

    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.stream.conn.handshake_kind()
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        self.try_send(packet).expect("the connection is open");
    }

    pub(crate) fn try_send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut bytes = vec![0; packet.encoded_len(self.version)];
        packet.encode(self.version, &mut bytes).expect("a packet that can be sent");
        self.send_bytes(&bytes)
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str) {
        self.send(&publish(topic, payload, None));
    }

    pub(crate) fn publish_qos1(&mut self, topic: &str, payload: &str, packet_id: u16) {
        self.send(&publish(topic, payload, PacketId::new(packet_id)));
    }

    /// To be kept for those who subscribe later.
    pub(crate) fn publish_retained(&mut self, topic: &str, payload: &str, packet_id: Option<u16>) {
        let Packet::Publish(publish) = publish(topic, payload, packet_id.and_then(PacketId::new)) else {
            unreachable!("it makes a PUBLISH")
        };
        self.send(&Packet::Publish(Publish { retain: true, ..publish }));
    }

    /// Subscribes and gives the codes of the SUBACK.
    pub(crate) fn subscribe(&mut self, filters: &[(&str, QoS)]) -> Vec<u8> {
        self.send_subscribe(filters);
        match self.receive() {
            Received::SubAck(codes) => codes,
            other => unreachable!("{other:?} instead of SUBACK"),
        }
    }

    pub(crate) fn send_subscribe(&mut self, filters: &[(&str, QoS)]) {
        self.try_subscribe(filters).expect("the connection is open");
    }

    pub(crate) fn try_subscribe(&mut self, filters: &[(&str, QoS)]) -> io::Result<()> {
        let requests: Vec<_> = filters
            .iter()
            .map(|(filter, qos)| FilterRequest {
                filter: TopicFilter::parse(filter).expect("a filter"),
                options: SubscriptionOptions::at_most(*qos),
            })
            .collect();
        let filters = SubscribeFilters::from_slice(&requests);
        self.try_send(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::FIRST,
            properties: Properties::NONE,
            filters,
        }))
    }

    pub(crate) fn acknowledge(&mut self, packet_id: u16) {
        self.send(&Packet::PubAck(Ack::success(PacketId::new(packet_id).expect("not zero"))));
    }

    /// Waits for a PINGRESP: everything sent before has been worked off, and what it led to here has arrived.
    pub(crate) fn ping(&mut self) {
        self.send(&Packet::PingReq);
        assert_eq!(self.receive(), Received::Pong);
    }

    pub(crate) fn receive(&mut self) -> Received {
        self.try_receive().expect("a packet")
    }

    pub(crate) fn try_receive(&mut self) -> io::Result<Received> {
        loop {
            if let Some((packet, used)) =
                mqtt_wire::decode(&self.input, self.version, 1 << 28).expect("valid packets")
            {
                let packet = own(&packet, &self.input[..used]);
                self.input.drain(..used);
                return Ok(packet);
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&chunk[..count]);
        }
    }

    /// The server hangs up without a further packet.
    pub(crate) fn expect_closed(&mut self) {
        match self.try_receive() {
            Ok(packet) => unreachable!("still open: {packet:?}"),
            Err(error) => assert!(!is_timeout(&error), "still open and silent"),
        }
    }

    /// The connection breaks: no DISCONNECT, no close_notify.
    pub(crate) fn vanish(self) {
        drop(self.stream.sock);
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A PUBLISH with QoS 2.
pub(crate) fn qos2<'a>(topic: &'a str, payload: &'a str, packet_id: PacketId) -> Packet<'a> {
    let Packet::Publish(publish) = publish(topic, payload, Some(packet_id)) else {
        unreachable!("it makes a PUBLISH")
    };
    Packet::Publish(Publish { qos: QoS::ExactlyOnce, ..publish })
}

/// A PUBLISH with QoS 1.
pub(crate) fn qos1<'a>(topic: &'a str, payload: &'a str, packet_id: PacketId) -> Packet<'a> {
    publish(topic, payload, Some(packet_id))
}

fn publish<'a>(topic: &'a str, payload: &'a str, packet_id: Option<PacketId>) -> Packet<'a> {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(TopicName::parse(topic).expect("a topic")),
        packet_id,
        properties: Properties::NONE,
        payload: payload.as_bytes(),
    })
}

fn own(packet: &Packet<'_>, bytes: &[u8]) -> Received {
    match packet {
        Packet::Publish(publish) => Received::Publish {
            topic: publish.topic.expect("3.1.1 has no aliases").as_str().to_owned(),
            payload: String::from_utf8_lossy(publish.payload).into_owned(),
            qos: publish.qos.number(),
            packet_id: publish.packet_id.map(PacketId::number),
        },
        Packet::PubAck(ack) if ack.reason != ReasonCode::Success => {
            Received::Refused(ack.packet_id.number(), ack.reason)
        }
        Packet::PubAck(ack) => Received::PubAck(ack.packet_id.number()),
        Packet::PubRec(ack) => Received::PubRec(ack.packet_id.number()),
        Packet::PubRel(ack) => Received::PubRel(ack.packet_id.number()),
        Packet::PubComp(ack) => Received::PubComp(ack.packet_id.number()),
        Packet::SubAck(suback) => Received::SubAck(suback.codes.iter().map(|code| code.byte()).collect()),
        Packet::UnsubAck(unsuback) => Received::UnsubAck(unsuback.packet_id.number()),
        Packet::PingResp => Received::Pong,
        Packet::ConnAck(_) => Received::ConnAck(bytes.to_vec()),
        other => unreachable!("a server does not send {other:?}"),
    }
}
