//! One connection between its beginning and CONNECT.

use crate::authorize::{self, Client, Who};
use crate::carried::{Carried, Ended, Identity};
use crate::clock;
use crate::history::Cause;
use crate::message::Due;
use crate::reception::Pass;
use crate::seats::Seat;
use crate::shared::Shared;
use crate::transport::{Pipe, Read, Transport};
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mqtt_session::{Accepted, Peer, Session};
use mqtt_wire::ProtocolVersion::{self, V5, V311};
use mqtt_wire::{ConnAck, DecodeError, Packet, PacketKind, PropertiesWriter, Property, ReasonCode};
use pki::CertificateId;
use rustls::{AlertDescription, HandshakeKind, ServerConnection};
use std::io::{self, ErrorKind, Read as _};
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Largest CONNECT of a client whose certificate is not active: enough to learn its client id for the log.
///
/// Anybody can make a certificate and come this far.
const STRANGER_CONNECT_BYTES_MAX: usize = 4 * 1024;

/// Room for the words of a refusal: enough for any sentence of ours with a client identifier in it.
const REASON_BYTES_MAX: usize = 512;

/// What a CONNACK has beside them.
const CONNACK_BYTES_MAX: usize = 16;

/// [verified 2]
const NOT_AUTHORIZED: &str = "Client is not authenticated/authorized to send the message";

/// A client that has connected, on its way to its loop.
pub(crate) struct Arrival {
    pub(crate) transport: Transport,
    pub(crate) session: Session<Due>,
    pub(crate) accepted: Accepted,
    pub(crate) client: Client,
    /// What the client sent right behind its CONNECT.
    pub(crate) input: Vec<u8>,
    pub(crate) seat: Seat,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrival").field("client", &self.client).finish_non_exhaustive()
    }
}

/// A connection that has not finished CONNECT.
pub(crate) struct Unfinished {
    transport: Transport,
    pub(crate) peer: SocketAddr,
    /// Who it is; with TLS this is known when the handshake is done.
    identity: Option<Identity>,
    /// The server name of a carried connection; TLS of our own knows it itself.
    domain_name: Option<Box<str>>,
    /// The beginning of CONNECT.
    input: Vec<u8>,
    heard: bool,
    pass: Pass,
}

/// Why a connection does not become a session.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) client_id: Option<String>,
    pub(crate) certificate_id: Option<CertificateId>,
    pub(crate) reason: String,
    pub(crate) at: Stage,
    /// Why, by kind.
    pub(crate) cause: Cause,
    /// Who it is, when its certificate is good and no policy lets it in.
    pub(crate) unauthorized: Option<Arc<Who>>,
}

/// How far a refused connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It closed without having sent a byte: a port scan or a health check.
    Tcp,
    Tls,
    Connect,
}

/// A CONNECT that was accepted.
pub(crate) struct Connected {
    session: Session<Due>,
    accepted: Accepted,
    pub(crate) client: Client,
    connect_bytes: usize,
}

/// What a TLS handshake turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// A full one.
    Full,
    /// One from a ticket.
    Resumed,
    /// It failed.
    Failed,
}

impl Unfinished {
    pub(crate) fn tls(stream: TcpStream, tls: ServerConnection, peer: SocketAddr, pass: Pass) -> Self {
        Self::new(Transport::Tls(stream, Box::new(tls)), peer, None, pass)
    }

    pub(crate) fn plain(stream: TcpStream, peer: SocketAddr, pass: Pass) -> Self {
        Self::new(Transport::Plain(stream), peer, Some(Identity::Insecure), pass)
    }

    /// # Errors
    /// The pipe cannot be made non-blocking.
    pub(crate) fn carried(carried: Carried) -> io::Result<Self> {
        let Carried { pipe, identity, peer, local, domain_name, line, pass } = carried;
        pipe.set_nonblocking(true)?;
        let pipe = Pipe { socket: UnixStream::from_std(pipe), local, line };
        let mut unfinished = Self::new(Transport::Carried(pipe), peer, Some(identity), pass);
        unfinished.domain_name = domain_name.map(Into::into);
        // Whoever carries it has talked with the client already.
        unfinished.heard = true;
        Ok(unfinished)
    }

    fn new(transport: Transport, peer: SocketAddr, identity: Option<Identity>, pass: Pass) -> Self {
        Self { transport, peer, identity, domain_name: None, input: Vec::new(), heard: false, pass }
    }

    pub(crate) fn socket(&mut self) -> &mut dyn Source {
        self.transport.socket()
    }

    /// The deadline has passed: says what it was waited for.
    pub(crate) fn too_late(&self) -> Refusal {
        let what = if self.is_shaking_hands() { "the TLS handshake" } else { "CONNECT" };
        Refusal { cause: Cause::Late, ..self.refusal(Stage::Connect, format!("{what} did not come in time")) }
    }

    /// Takes what has arrived as far as it goes; `None`: more has to come.
    ///
    /// When a TLS handshake is done `tls_done` is called, once.
    ///
    /// # Errors
    /// The connection is to be closed, for this reason.
    pub(crate) fn advance(
        &mut self,
        shared: &Shared,
        tls_done: impl FnOnce(Handshake),
    ) -> Result<Option<Connected>, Refusal> {
        self.feed_tls()?;
        self.transport.flush().map_err(|error| self.lost(&error))?;
        if self.is_shaking_hands() {
            return Ok(None);
        }
        let identity = match &self.identity {
            Some(identity) => identity.clone(),
            None => {
                let identity = Identity::Certificate(self.presented_certificate()?);
                self.identity = Some(identity.clone());
                tls_done(if self.is_resumed() { Handshake::Resumed } else { Handshake::Full });
                identity
            }
        };
        self.read_connect(shared, &identity)
    }

    /// The connection becomes its loop's.
    pub(crate) fn into_arrival(self, connected: Connected) -> Arrival {
        let Connected { session, accepted, client, connect_bytes } = connected;
        let Self { transport, mut input, pass, .. } = self;
        input.drain(..connect_bytes);
        Arrival { transport, session, accepted, client, input, seat: pass.into_seat() }
    }

    /// Sends what is still to be said, an alert mostly, as far as the socket takes it, and closes.
    pub(crate) fn close(mut self) {
        if let Transport::Tls(_, tls) = &mut self.transport
            && !tls.is_handshaking()
        {
            // Without it a client takes the end for a broken network: AWS's SDKs tell AWS_ERROR_MQTT_UNEXPECTED_HANGUP of
            // servers that refuse them, and AWS_IO_SOCKET_CLOSED of sockets that break.
            tls.send_close_notify();
        }
        self.transport.hang_up();
    }

    fn is_shaking_hands(&self) -> bool {
        matches!(&self.transport, Transport::Tls(_, tls) if tls.is_handshaking())
    }

    fn is_resumed(&self) -> bool {
        matches!(&self.transport, Transport::Tls(_, tls) if tls.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    /// Moves bytes from the socket into rustls until there is plaintext or nothing more.
    fn feed_tls(&mut self) -> Result<(), Refusal> {
        loop {
            let Transport::Tls(stream, tls) = &mut self.transport else { return Ok(()) };
            match tls.read_tls(stream) {
                Ok(0) => return Err(self.closed_by_peer()),
                Ok(_) => self.heard = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.lost(&error)),
            }
            match tls.process_new_packets() {
                // rustls takes no more in before this is read.
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    let cause = cause_of_tls(&error);
                    return Err(Refusal { cause, ..self.refusal(Stage::Tls, explain_tls(&error)) });
                }
            }
        }
    }

    /// A resumed session carries its certificate and never meets the verifier: looked at here, always.
    fn presented_certificate(&self) -> Result<CertificateId, Refusal> {
        let leaf = match &self.transport {
            Transport::Tls(_, tls) => tls.peer_certificates().and_then(<[_]>::first),
            Transport::Plain(_) | Transport::Carried(_) => None,
            #[cfg(test)]
            Transport::Simulated(_) => None,
        };
        leaf.map(|leaf| CertificateId::of_der(leaf)).ok_or_else(|| {
            let cause = Cause::NoCertificate;
            Refusal { cause, ..self.refusal(Stage::Tls, NO_CERTIFICATE.to_owned()) }
        })
    }

    fn read_connect(&mut self, shared: &Shared, identity: &Identity) -> Result<Option<Connected>, Refusal> {
        let is_stranger = matches!(identity, Identity::Certificate(id)
            if authorize::active_principal(&shared.registry, id).is_err());
        let bytes_max =
            if is_stranger { STRANGER_CONNECT_BYTES_MAX } else { shared.limits.packet_bytes_max() };
        loop {
            let got_some = self.fill_input()?;
            // To MQTT this may look like a packet whose rest is missing.
            if is_http(&self.input) {
                return Err(self.refusal(Stage::Connect, HTTP_CAME.to_owned()));
            }
            // A CONNECT says itself which version it is of.
            match mqtt_wire::decode(&self.input, V311, bytes_max) {
                Ok(Some((packet, used))) => {
                    let decided = self.decide(shared, identity, &packet, used);
                    return decided.map(Some).map_err(|(refusal, answer)| {
                        self.answer(answer, &refusal.reason);
                        refusal
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    let refusal = self.refusal(Stage::Connect, explain_first_packet(&self.input, &error));
                    // [MQTT311 3.1.2-1] What is not even MQTT may be closed without a word.
                    let is_mqtt = error != DecodeError::UnsupportedProtocolName;
                    self.answer(is_mqtt.then(|| error.reason_code()), &refusal.reason);
                    return Err(refusal);
                }
            }
            if !got_some {
                return Ok(None);
            }
            // More may wait in the socket behind what rustls had to give first.
            self.feed_tls()?;
        }
    }

    /// Says why not, in the words of the client's version.
    ///
    /// [verified 1] A client of MQTT 3.1.1 gets no answer, as from AWS; one of an unknown version learns that it is the
    /// version [MQTT311 3.1.2-2].
    fn answer(&mut self, reason: Option<ReasonCode>, sentence: &str) {
        let Some(reason) = reason else { return };
        let version = match ProtocolVersion::of_connect(&self.input) {
            Some(V5) if reason.is_allowed_in(PacketKind::ConnAck) => V5,
            _ if reason == ReasonCode::UnsupportedProtocolVersion => V311,
            _ => return,
        };
        // [verified 2] The form of AWS's reason strings, and its sentence for whoever has no permission.
        let sentence = if reason == ReasonCode::NotAuthorized { NOT_AUTHORIZED } else { sentence };
        let words = format!("CONNACK:{sentence}:{}", Uuid::new_v4());
        let (mut room, mut answer) = ([0; REASON_BYTES_MAX], [0; REASON_BYTES_MAX + CONNACK_BYTES_MAX]);
        let mut properties = PropertiesWriter::new(&mut room);
        // What does not fit is in the log.
        let _ = properties.push(Property::ReasonString(&words));
        let connack = ConnAck { session_present: false, reason, properties: properties.finish() };
        // [MQTT5 3.2.2-19] Words that make it too large for the client are left out. How large that is may be in a CONNECT
        // that could not be read: then they are left out, too.
        let takes_words = match mqtt_wire::decode(&self.input, version, usize::MAX) {
            Ok(Some((Packet::Connect(connect), _))) => {
                Peer::of(&connect).takes(Packet::ConnAck(connack).encoded_len(version))
            }
            _ => false,
        };
        let connack = if takes_words { connack } else { ConnAck::new(reason) };
        let bytes = Packet::ConnAck(connack).encode(version, &mut answer).expect("there is room");
        // What the socket does not take now `close` sends. If that fails, too, the closed connection says enough.
        let _ = self.transport.write(&answer[..bytes]);
    }

    #[expect(clippy::result_large_err, reason = "moved once, when a connection is refused")]
    fn decide(
        &self,
        shared: &Shared,
        identity: &Identity,
        packet: &Packet<'_>,
        connect_bytes: usize,
    ) -> Result<Connected, (Refusal, Option<ReasonCode>)> {
        let Packet::Connect(connect) = packet else {
            let reason = format!("the first packet is {} instead of CONNECT", packet.kind());
            return Err((self.refusal(Stage::Connect, reason), None)); // [MQTT311 3.1.0-1]
        };
        let server_name = match &self.transport {
            Transport::Tls(_, tls) => tls.server_name(),
            Transport::Plain(_) | Transport::Carried(_) => self.domain_name.as_deref(),
            #[cfg(test)]
            Transport::Simulated(_) => None,
        };
        authorize::connect(shared, connect, identity, self.peer, server_name, clock::now())
            .map(|(session, accepted, client)| Connected { session, accepted, client, connect_bytes })
            .map_err(|denied| {
                let client_id = Some(connect.client_id.to_owned());
                let refusal = self.refusal(Stage::Connect, denied.reason);
                let (unauthorized, cause) = (denied.unauthorized, denied.cause);
                (Refusal { client_id, unauthorized, cause, ..refusal }, denied.answer)
            })
    }

    /// Appends bytes to the input: all that are decrypted, or as many as a turn may take; gives whether there were any.
    fn fill_input(&mut self) -> Result<bool, Refusal> {
        let mut chunk = [0; 1024];
        let before = self.input.len();
        loop {
            let Transport::Tls(_, tls) = &mut self.transport else {
                return self.fill_without_tls();
            };
            match tls.reader().read(&mut chunk) {
                Ok(0) => return Err(self.closed_by_peer()),
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(self.input.len() > before),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(self.closed_by_peer()),
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    /// One read, so that what is too much is found out before the next.
    fn fill_without_tls(&mut self) -> Result<bool, Refusal> {
        let mut chunk = [0; 4096];
        match self.transport.read(&mut chunk) {
            Ok(Read::End) => Err(self.closed_by_peer()),
            Ok(Read::Some(count) | Read::Last(count)) => {
                self.heard |= count > 0;
                self.input.extend_from_slice(&chunk[..count]);
                Ok(count > 0)
            }
            Err(error) => Err(self.lost(&error)),
        }
    }

    fn closed_by_peer(&self) -> Refusal {
        if !self.heard {
            return self.refusal(Stage::Tcp, "the client closed without sending anything".to_owned());
        }
        let reason = match self.transport.ended() {
            Some(Ended::Violation(why)) => why.clone(),
            Some(Ended::Expired) => "the WebSocket has lasted as long as one may, without CONNECT".to_owned(),
            Some(Ended::ByClient) | None if self.is_shaking_hands() => {
                "the client closed the connection during the TLS handshake".to_owned()
            }
            Some(Ended::ByClient) | None => {
                "the client closed the connection before CONNECT was complete".to_owned()
            }
        };
        self.refusal(self.stage(), reason)
    }

    fn lost(&self, error: &io::Error) -> Refusal {
        let stage = if self.heard { self.stage() } else { Stage::Tcp };
        self.refusal(stage, format!("the connection was lost before CONNECT: {error}"))
    }

    /// What breaks off before CONNECT counts as a failed handshake where there is one.
    fn stage(&self) -> Stage {
        if matches!(self.transport, Transport::Tls(..)) { Stage::Tls } else { Stage::Connect }
    }

    fn refusal(&self, at: Stage, reason: String) -> Refusal {
        let cause = match at {
            Stage::Tcp => Cause::Silent,
            Stage::Tls => Cause::Lost,
            Stage::Connect => Cause::Protocol,
        };
        let certificate_id = match &self.identity {
            Some(Identity::Certificate(id)) => Some(*id),
            Some(Identity::AccessKey(_) | Identity::Insecure) | None => None,
        };
        Refusal { client_id: None, certificate_id, reason, at, cause, unauthorized: None }
    }
}

const NO_CERTIFICATE: &str =
    "the client sent no certificate; devices must present the one they were provisioned with";

const HTTP_CAME: &str =
    "HTTP came instead of CONNECT, not MQTT; the API's port speaks it, and the HTTPS port";

fn is_http(input: &[u8]) -> bool {
    [&b"GET "[..], b"POST ", b"PUT ", b"HEAD ", b"PATCH ", b"DELETE ", b"OPTIONS "]
        .iter()
        .any(|method| input.starts_with(method))
}

/// Why the first bytes are no CONNECT, for somebody who looks for the mistake on the device.
fn explain_first_packet(input: &[u8], error: &DecodeError) -> String {
    if let DecodeError::TooLarge { .. } = error {
        return format!("the first packet is too large: {error}");
    }
    let is_connect = input.first().is_some_and(|first| first >> 4 == PacketKind::Connect as u8);
    if is_connect {
        format!("CONNECT is not MQTT: {error}")
    } else {
        format!("what came instead of CONNECT is not MQTT: {error}")
    }
}

/// Why a handshake failed, by kind.
pub fn cause_of_tls(error: &rustls::Error) -> Cause {
    match error {
        rustls::Error::NoCertificatesPresented => Cause::NoCertificate,
        rustls::Error::AlertReceived(alert) => Cause::Tls { alert: Some(format!("{alert:?}").into()) },
        _ => Cause::Tls { alert: None },
    }
}

/// Why a handshake failed, for somebody who looks for the mistake on the device.
pub fn explain_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::NoCertificatesPresented => NO_CERTIFICATE.to_owned(),
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown),
        ) => format!(
            "the client does not accept the server's certificate (alert {alert:?}): is our root CA on it, and its clock right?"
        ),
        rustls::Error::AlertReceived(alert) => {
            format!("the client gave up the TLS handshake with alert {alert:?}")
        }
        rustls::Error::PeerIncompatible(why) => {
            format!("the client and we have no TLS version, cipher or key type in common: {why:?}")
        }
        rustls::Error::InvalidMessage(why) => {
            format!("what the client sent is not TLS ({why:?}); plain MQTT is not served on this port")
        }
        rustls::Error::NoApplicationProtocol => {
            "the client offers with ALPN only `mqtt`, MQTT with a custom authorizer, \
            which this server does not have: offer x-amzn-mqtt-ca and a client certificate"
                .to_owned()
        }
        // The verifier's own sentence.
        rustls::Error::General(why) => why.clone(),
        rustls::Error::InvalidCertificate(why) => {
            format!("the client did not prove that it has its certificate's key: {why:?}")
        }
        other => format!("the TLS handshake failed: {other}"),
    }
}
