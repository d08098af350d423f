//! One connection between TCP and CONNECT.

use crate::admission;
use crate::authorize::{self, Client, Who};
use crate::history::Cause;
use crate::message::Due;
use crate::seats::Seat;
use crate::shared::Shared;
use crate::transport::{Transport, seal_out};
use mio::net::TcpStream;
use mqtt_session::{Accepted, Peer, Session, Throttled};
use mqtt_wire::ProtocolVersion::{self, V5, V311};
use mqtt_wire::{ConnAck, DecodeError, Packet, PacketKind, PropertiesWriter, Property, ReasonCode};
use pki::CertificateId;
use rustls::{AlertDescription, HandshakeKind, ServerConnection};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
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
    stream: TcpStream,
    tls: Box<ServerConnection>,
    pub(crate) peer: SocketAddr,
    pub(crate) ticket: admission::Ticket,
    /// The beginning of CONNECT.
    input: Vec<u8>,
    certificate_id: Option<CertificateId>,
    heard: bool,
    seat: Seat,
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
    /// It may come in, and there are too many, or they come too fast.
    pub(crate) throttled: Option<Throttled>,
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

/// What the TLS handshake turned out to be, told once.
pub(crate) enum TlsDone {
    Full,
    Resumed,
}

impl Unfinished {
    pub(crate) fn new(
        stream: TcpStream,
        tls: ServerConnection,
        peer: SocketAddr,
        ticket: admission::Ticket,
        seat: Seat,
    ) -> Self {
        let (tls, input) = (Box::new(tls), Vec::new());
        Self { stream, tls, peer, ticket, input, certificate_id: None, heard: false, seat }
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The deadline has passed: says what it was waited for.
    pub(crate) fn too_late(&self) -> Refusal {
        let what = if self.tls.is_handshaking() { "the TLS handshake" } else { "CONNECT" };
        Refusal { cause: Cause::Late, ..self.refusal(Stage::Connect, format!("{what} did not come in time")) }
    }

    /// Takes what has arrived as far as it goes; `None`: more has to come.
    ///
    /// When the handshake is done `tls_done` is called, once.
    ///
    /// # Errors
    /// The connection is to be closed, for this reason.
    pub(crate) fn advance(
        &mut self,
        shared: &Shared,
        tls_done: impl FnOnce(TlsDone),
    ) -> Result<Option<Connected>, Refusal> {
        self.feed_tls()?;
        seal_out(&mut self.stream, &mut self.tls).map_err(|error| self.lost(&error))?;
        if self.tls.is_handshaking() {
            return Ok(None);
        }
        if self.certificate_id.is_none() {
            self.certificate_id = Some(self.presented_certificate()?);
            let resumed = self.tls.handshake_kind() == Some(HandshakeKind::Resumed);
            tls_done(if resumed { TlsDone::Resumed } else { TlsDone::Full });
        }
        self.read_connect(shared)
    }

    /// The connection becomes its loop's.
    pub(crate) fn into_arrival(self, connected: Connected) -> Arrival {
        let Connected { session, accepted, client, connect_bytes } = connected;
        let Self { stream, tls, mut input, seat, .. } = self;
        input.drain(..connect_bytes);
        Arrival { transport: Transport::Tls(stream, tls), session, accepted, client, input, seat }
    }

    /// Sends what TLS still has to say, an alert mostly, as far as the socket takes it, and closes.
    pub(crate) fn close(mut self) {
        // The peer may be gone already; the socket is closed either way.
        let _ = seal_out(&mut self.stream, &mut self.tls);
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Moves bytes from the socket into rustls until there is plaintext or nothing more.
    fn feed_tls(&mut self) -> Result<(), Refusal> {
        loop {
            match self.tls.read_tls(&mut self.stream) {
                Ok(0) => return Err(self.closed_by_peer()),
                Ok(_) => self.heard = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.lost(&error)),
            }
            match self.tls.process_new_packets() {
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
        let leaf = self.tls.peer_certificates().and_then(<[_]>::first);
        leaf.map(|leaf| CertificateId::of_der(leaf)).ok_or_else(|| {
            let cause = Cause::NoCertificate;
            Refusal { cause, ..self.refusal(Stage::Tls, NO_CERTIFICATE.to_owned()) }
        })
    }

    fn read_connect(&mut self, shared: &Shared) -> Result<Option<Connected>, Refusal> {
        let certificate_id = self.certificate_id.expect("set when the handshake finished");
        let is_active = authorize::active_principal(&shared.registry, &certificate_id).is_ok();
        let bytes_max = if is_active { shared.limits.packet_bytes_max() } else { STRANGER_CONNECT_BYTES_MAX };
        loop {
            let got_some = self.fill_input()?;
            // A CONNECT says itself which version it is of.
            match mqtt_wire::decode(&self.input, V311, bytes_max) {
                Ok(Some((packet, used))) => {
                    let decided = self.decide(shared, certificate_id, &packet, used);
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
        // Sealed into rustls' buffer; `close` sends it. If it does not fit, the closed connection says enough.
        let _ = self.tls.writer().write_all(&answer[..bytes]);
    }

    #[expect(clippy::result_large_err, reason = "moved once, when a connection is refused")]
    fn decide(
        &self,
        shared: &Shared,
        certificate_id: CertificateId,
        packet: &Packet<'_>,
        connect_bytes: usize,
    ) -> Result<Connected, (Refusal, Option<ReasonCode>)> {
        let Packet::Connect(connect) = packet else {
            let reason = format!("the first packet is {} instead of CONNECT", packet.kind());
            return Err((self.refusal(Stage::Connect, reason), None)); // [MQTT311 3.1.0-1]
        };
        let server_name = self.tls.server_name();
        authorize::connect(shared, connect, certificate_id, self.peer, server_name, Instant::now())
            .map(|(session, accepted, client)| Connected { session, accepted, client, connect_bytes })
            .map_err(|denied| {
                let client_id = Some(connect.client_id.to_owned());
                let refusal = self.refusal(Stage::Connect, denied.reason);
                let (unauthorized, throttled) = (denied.unauthorized, denied.throttled);
                let cause = denied.cause;
                (Refusal { client_id, unauthorized, throttled, cause, ..refusal }, denied.answer)
            })
    }

    /// Appends all decrypted bytes to the input; gives whether there were any.
    fn fill_input(&mut self) -> Result<bool, Refusal> {
        let mut chunk = [0; 1024];
        let before = self.input.len();
        loop {
            match self.tls.reader().read(&mut chunk) {
                Ok(0) => return Err(self.closed_by_peer()),
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(self.input.len() > before),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(self.closed_by_peer()),
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    fn closed_by_peer(&self) -> Refusal {
        if !self.heard {
            return self.refusal(Stage::Tcp, "the client closed without sending anything".to_owned());
        }
        let when = if self.tls.is_handshaking() {
            "during the TLS handshake"
        } else {
            "before CONNECT was complete"
        };
        self.refusal(Stage::Tls, format!("the client closed the connection {when}"))
    }

    fn lost(&self, error: &io::Error) -> Refusal {
        let stage = if self.heard { Stage::Tls } else { Stage::Tcp };
        self.refusal(stage, format!("the connection was lost before CONNECT: {error}"))
    }

    fn refusal(&self, at: Stage, reason: String) -> Refusal {
        let cause = match at {
            Stage::Tcp => Cause::Silent,
            Stage::Tls => Cause::Lost,
            Stage::Connect => Cause::Protocol,
        };
        let (certificate_id, unauthorized, throttled) = (self.certificate_id, None, None);
        Refusal { client_id: None, certificate_id, reason, at, cause, unauthorized, throttled }
    }
}

const NO_CERTIFICATE: &str =
    "the client sent no certificate; devices must present the one they were provisioned with";

/// Why the first bytes are no CONNECT, for somebody who looks for the mistake on the device.
fn explain_first_packet(input: &[u8], error: &DecodeError) -> String {
    let is_http = [&b"GET "[..], b"POST ", b"PUT ", b"HEAD ", b"PATCH ", b"DELETE ", b"OPTIONS "]
        .iter()
        .any(|method| input.starts_with(method));
    if is_http {
        return "HTTP came instead of CONNECT, not MQTT; the API's port speaks it".to_owned();
    }
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
fn cause_of_tls(error: &rustls::Error) -> Cause {
    match error {
        rustls::Error::NoCertificatesPresented => Cause::NoCertificate,
        rustls::Error::AlertReceived(alert) => Cause::Tls { alert: Some(format!("{alert:?}").into()) },
        _ => Cause::Tls { alert: None },
    }
}

/// Why a handshake failed, for somebody who looks for the mistake on the device.
fn explain_tls(error: &rustls::Error) -> String {
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
        // The verifier's own sentence.
        rustls::Error::General(why) => why.clone(),
        rustls::Error::InvalidCertificate(why) => {
            format!("the client did not prove that it has its certificate's key: {why:?}")
        }
        other => format!("the TLS handshake failed: {other}"),
    }
}
