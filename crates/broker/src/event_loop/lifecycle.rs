//! Clients come and go.

use super::EventLoop;
use super::backlog::{END_OF_SESSION, Unowned};
use crate::authorize::{self, Client, Denied, NotPermitted};
use crate::carried::Ended;
use crate::clock::now_ms;
use crate::connection::{Connection, Opening, Reply};
use crate::handshake::{Arrival, Refusal, Stage};
use crate::history::Cause;
use crate::lifecycle_events::{self, Event};
use crate::outbox::Pool;
use crate::publication::{self, Incoming, Source};
use crate::refusal_log::log_refusal;
use crate::sessions;
use crate::slots::Key;
use crate::spare;
use crate::transport::Transport;
use mio::Interest;
use mqtt_session::{
    Accepted, Attached, CONNACK_PROPERTIES_BYTES_MAX, ClientId, DisconnectReason, Violation, Will,
};
use mqtt_wire::{
    ConnAck, DecodeError, Disconnect, Packet, PacketKind, PropertiesWriter, Property, ProtocolVersion, QoS,
    ReasonCode, TopicName,
};
use pki::CertificateId;
use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// Why a connection is closed: in AWS's word, and in a sentence for the log.
#[derive(Debug)]
pub(super) struct Farewell {
    reason: DisconnectReason,
    /// What a client of MQTT 5 is told; `None`: nothing.
    code: Option<ReasonCode>,
    detail: Cow<'static, str>,
}

impl Farewell {
    fn new(reason: DisconnectReason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, code: reason.reason_code(), detail: detail.into() }
    }

    fn with_code(reason: DisconnectReason, code: ReasonCode, detail: impl Into<Cow<'static, str>>) -> Self {
        // What only other packets can say is a protocol error.
        let is_sayable = code.is_allowed_in(PacketKind::Disconnect);
        let code = if is_sayable { code } else { ReasonCode::ProtocolError };
        Self { code: Some(code), ..Self::new(reason, detail) }
    }

    pub(super) fn disconnect() -> Self {
        Self::new(DisconnectReason::ClientInitiatedDisconnect, "the client sent DISCONNECT")
    }

    /// The client's side has ended, as far as its transport knows why.
    pub(super) fn hung_up(transport: &Transport) -> Self {
        let unsaid = "the client closed the connection without DISCONNECT";
        transport
            .ended()
            .map_or_else(|| Self::new(DisconnectReason::ConnectionLost, unsaid), Self::carrier_ended)
    }

    /// The same, found out when writing or reading failed.
    pub(super) fn broken(transport: &Transport, error: &io::Error) -> Self {
        transport.ended().map_or_else(|| Self::lost(error), Self::carrier_ended)
    }

    fn carrier_ended(ended: &Ended) -> Self {
        match ended {
            // [AWS iot-lifecycle-events] A Close frame is the client's own wish, as DISCONNECT is.
            Ended::ByClient => {
                Self::new(DisconnectReason::ClientInitiatedDisconnect, "the client closed its WebSocket")
            }
            Ended::Expired => Self::new(
                DisconnectReason::WebsocketTtlExpiration,
                "the WebSocket has lasted as long as one may",
            ),
            Ended::Violation(why) => Self::new(DisconnectReason::ClientError, why.clone()),
        }
    }

    fn lost(error: &io::Error) -> Self {
        let reason = match error.kind() {
            // What rustls says of bytes that are not what TLS promises.
            ErrorKind::InvalidData => DisconnectReason::ClientError,
            _ => DisconnectReason::ConnectionLost,
        };
        Self::new(reason, format!("the connection broke: {error}"))
    }

    pub(super) fn not_mqtt(error: &DecodeError) -> Self {
        let detail = format!("what the client sent is not MQTT: {error}");
        Self::with_code(DisconnectReason::ClientError, error.reason_code(), detail)
    }

    pub(super) fn forbidden(detail: String, code: ReasonCode) -> Self {
        Self::with_code(DisconnectReason::ForbiddenAccess, code, detail)
    }

    pub(super) fn denied(denied: Denied) -> Self {
        match denied {
            Denied::NotActive(reason) => Self::new(DisconnectReason::AuthError, reason),
            Denied::ByPolicy { reason, .. } => Self::new(DisconnectReason::ForbiddenAccess, reason),
        }
    }

    pub(super) fn too_large(kind: PacketKind) -> Self {
        let detail =
            format!("the {kind} for the client is larger than the maximum packet size that it named");
        let farewell = Self::with_code(DisconnectReason::ClientError, ReasonCode::PacketTooLarge, detail);
        // [MQTT5 3.14.0-1] Nothing may come in the place of the CONNACK.
        let code = farewell.code.filter(|_| kind != PacketKind::ConnAck);
        Self { code, ..farewell }
    }

    pub(super) fn by_api() -> Self {
        Self::new(DisconnectReason::ApiInitiatedDisconnect, "DeleteConnection was called")
    }

    pub(super) fn our_mistake() -> Self {
        Self::new(DisconnectReason::ServerError, "what the client sent met a mistake in the server")
    }

    pub(super) fn server_error(error: &dyn std::fmt::Display) -> Self {
        let detail =
            format!("what rules keep of a message could not be stored, so it is not acknowledged: {error}");
        Self::new(DisconnectReason::ServerError, detail)
    }
}

/// Longest reason that is sent in words: enough for any sentence of ours with a topic in it.
const REASON_STRING_BYTES_MAX: usize = 512;

impl Farewell {
    /// A client of MQTT 5 learns why the connection ends [MQTT5 4.13.2].
    fn say_to(&self, connection: &mut Connection, pool: &mut Pool) {
        let peer = *connection.session.peer();
        let Some(reason) = self.code.filter(|_| peer.version == ProtocolVersion::V5) else { return };
        let mut room = [0; REASON_STRING_BYTES_MAX];
        let mut words = PropertiesWriter::new(&mut room);
        if peer.wants_reasons
            && let Some(sentence) = self.sentence()
        {
            // What is too long, or cannot be written, is in the log.
            let _ = words.push(Property::ReasonString(sentence));
        }
        // [MQTT5 3.14.2-3] Words that make it too large for the client are left out.
        let with_words = Packet::Disconnect(Disconnect { reason, properties: words.finish() });
        let without = Packet::Disconnect(Disconnect::new(reason));
        let fits = |packet: &&Packet<'_>| peer.takes(packet.encoded_len(peer.version));
        if let Some(said) = [&with_words, &without].into_iter().find(fits) {
            connection.outbox.push(said, peer.version, pool);
        }
    }

    /// What the client may know: not which policy it was, nor who the other one is, nor what is wrong with us.
    fn sentence(&self) -> Option<&str> {
        match self.reason {
            DisconnectReason::ForbiddenAccess if self.code != Some(ReasonCode::NotAuthorized) => {
                Some(&self.detail)
            }
            DisconnectReason::ClientError | DisconnectReason::MqttKeepAliveTimeout => Some(&self.detail),
            DisconnectReason::AuthError | DisconnectReason::ForbiddenAccess => {
                Some("not authorized; the server's log says why")
            }
            DisconnectReason::DuplicateClientId => Some("another connection came with this client id"),
            _ => None,
        }
    }
}

impl From<Violation> for Farewell {
    fn from(violation: Violation) -> Self {
        Self::with_code(violation.disconnect_reason(), violation.reason_code(), violation.to_string())
    }
}

impl EventLoop {
    /// A client has passed TLS and CONNECT: it takes over from its earlier connection and gets its CONNACK.
    pub(super) fn arrive(&mut self, arrival: Arrival) {
        let Arrival { transport, session, accepted, client, input, seat } = arrival;
        // Between the decision and here the registry may have changed, and its news have passed this loop already.
        if let Err(NotPermitted { reason, cause }) =
            authorize::permit_again(&self.shared, &client, &accepted, session.will())
        {
            let who = &client.who;
            let (client_id, certificate_id) = (Some(who.client_id.to_string()), client.certificate_id);
            let (at, unauthorized) = (Stage::Connect, Some(Arc::clone(who)));
            let refusal = Refusal { client_id, certificate_id, reason, at, cause, unauthorized };
            log_refusal(who.peer, &refusal);
            self.observe_refused(who, &refusal);
            let failed = lifecycle_events::connect_failed(who, now_ms());
            self.publish_event(failed);
            self.me().counters.connects_refused.increment();
            return refuse_late(transport, session.peer(), ReasonCode::NotAuthorized);
        }
        if accepted.is_persistent()
            && let Some(reason) = self.cannot_keep(&client.who.client_id)
        {
            let who = &client.who;
            let (client_id, certificate_id) = (Some(who.client_id.to_string()), client.certificate_id);
            let (at, reason, cause) = (Stage::Connect, reason.to_owned(), Cause::NotKept);
            let refusal = Refusal { client_id, certificate_id, reason, at, cause, unauthorized: None };
            log_refusal(who.peer, &refusal);
            self.observe_refused(who, &refusal);
            self.me().counters.connects_refused.increment();
            return refuse_late(transport, session.peer(), ReasonCode::QuotaExceeded);
        }
        let mut took_over = None;
        if let Some(&earlier) = self.clients.get(&client.who.client_id) {
            took_over = self.info(earlier).map(|info| info.source);
            // [MQTT311 3.1.4-2] The new connection wins; the old one is gone, its will published, before this is one.
            let detail = format!("another connection came with this client id, from {}", client.who.peer);
            self.end(earlier, Farewell::new(DisconnectReason::DuplicateClientId, detail));
            self.close_marked();
        }
        let who = Arc::clone(&client.who);
        let timeout = session.poll_timeout();
        let presence = self.presences.connect(&who.client_id, self.now, now_ms());
        let connected = presence.connected(&who);
        let mut connection = Connection::new(transport, session, client, presence, seat, self.now);
        connection.input = input;
        let (session_present, effects) = self.begin_session(&mut connection, &accepted);
        let key = self.connections.insert(Box::new(connection));
        let Some(connection) = self.connections.get_mut(key) else { return };
        self.clients.insert(Arc::clone(&who.client_id), key);
        let socket = connection.transport.socket();
        if let Err(error) = self.poll.registry().register(socket, key.token(), Interest::READABLE) {
            tracing::error!(%error, "cannot watch a connection");
            self.keep(key, effects, Reply::Nothing);
            return self.end(key, Farewell::our_mistake());
        }
        if let Some(at) = timeout {
            self.timers.arm(at, key);
        }
        self.route_to_resumed(key);
        let opening = Opening { accepted, session_present, connected, took_over };
        self.keep(key, effects, Reply::ConnAck(Box::new(opening)));
    }

    /// Why a client cannot have a session that is kept, if so.
    fn cannot_keep(&self, client_id: &str) -> Option<&'static str> {
        if client_id.len() > sessions::KEY_BYTES_MAX {
            return Some("the client identifier is too long for a persistent session");
        }
        let key = self.clients.get(client_id);
        let has_one = self.away.contains(client_id)
            || key.and_then(|key| self.connections.get(*key)).is_some_and(|connection| connection.is_kept);
        let is_full = self.shared.sessions.is_full() && !has_one;
        is_full.then_some("as many sessions are kept as may be; connect without a persistent one")
    }

    /// What the client's session needs is on disk: it gets its CONNACK, and what waited for it.
    pub(super) fn open_session(&mut self, key: Key, opening: Opening) {
        let Opening { accepted, session_present, connected, took_over } = opening;
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.is_closing {
            return;
        }
        connection.is_opening = false;
        connection.session.excuse_silence(self.now);
        let (who, transport) = (Arc::clone(&connection.client.who), connection.transport.name());
        self.me().counters.connects.increment();
        tracing::info!(
            target: "eyot::connection", client_id = &*who.client_id, certificate_id = who.certificate_id(),
            principal = who.other_principal(), peer = %who.peer, transport, keep_alive_s = accepted.keep_alive_s,
            session_expiry_s = accepted.session_expiry_s, session_present, "connected"
        );
        self.observe_connected(&who, key, &accepted, session_present, took_over);
        self.send_connack(key, &accepted, session_present);
        self.publish_event(connected);
        self.go_online(key);
        // Clients may send on without waiting for CONNACK [MQTT311 3.1.4-5], and rustls may hold decrypted bytes that no
        // event will announce.
        self.mark_ready(key, false);
    }

    fn send_connack(&mut self, key: Key, accepted: &Accepted, session_present: bool) {
        let Some(connection) = self.connections.get(key) else { return };
        let (who, peer) = (Arc::clone(&connection.client.who), *connection.session.peer());
        let assigned = (accepted.client_id == ClientId::Assign).then_some(&*who.client_id);
        let (limits, mut room) = (Arc::clone(&self.shared.limits), [0; CONNACK_PROPERTIES_BYTES_MAX]);
        self.send(
            key,
            &Packet::ConnAck(accepted.connack(&peer, &limits, session_present, assigned, &mut room)),
        );
    }

    /// Marks a client for closing. Nothing more is read from it or delivered to it.
    pub(super) fn end(&mut self, key: Key, farewell: Farewell) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.is_closing
        {
            connection.is_closing = true;
            self.closing.push_back((key, farewell));
        }
    }

    /// Closes everybody who is marked.
    ///
    /// Closing publishes wills, which can mark others: one after the other here, never one inside the other.
    pub(super) fn close_marked(&mut self) {
        while let Some((key, farewell)) = self.closing.pop_front() {
            self.close(key, &farewell);
        }
    }

    fn close(&mut self, key: Key, farewell: &Farewell) {
        let Some(mut connection) = self.connections.remove(key) else { return };
        self.timers.sweep(self.connections.len(), |key| self.connections.get(key).is_some());
        for (filter, _) in connection.session.subscriptions() {
            self.router.unsubscribe(filter, key);
        }
        self.tell_subscriptions();
        let who = Arc::clone(&connection.client.who);
        if self.clients.get(&who.client_id) == Some(&key) {
            self.clients.remove(&who.client_id);
            spare::give_back(&mut self.clients);
        }
        farewell.say_to(&mut connection, &mut self.pool);
        // What was decided before is sent as far as it goes; the client may be gone, which is no news.
        let _ = connection.outbox.flush(&mut connection.transport, &mut self.pool);
        connection.transport.close();
        let _ = self.poll.registry().deregister(connection.transport.socket());
        self.me().counters.disconnects.increment();
        let Farewell { reason, detail, .. } = farewell;
        // A client that breaks the rules is somebody's mistake, as a refusal is; other ends are everyday.
        if *reason == DisconnectReason::ClientError {
            tracing::warn!(
                target: "eyot::connection", client_id = &*who.client_id, certificate_id = who.certificate_id(),
            principal = who.other_principal(),
                peer = %who.peer, reason = reason.name(), detail = &**detail, "disconnected"
            );
        } else {
            tracing::info!(
                target: "eyot::connection", client_id = &*who.client_id, certificate_id = who.certificate_id(),
            principal = who.other_principal(),
                peer = %who.peer, reason = reason.name(), detail = &**detail, "disconnected"
            );
        }
        let will = connection.session.will().filter(|_| !connection.is_opening);
        let kept_s = if connection.is_kept { connection.session.session_expiry_s() } else { 0 };
        self.observe_disconnected(&who, *reason, detail, will, kept_s);
        // What its publish leaves behind has been promised to nobody, but its message was delivered.
        if let Some(stalled) = connection.stalled.take() {
            let (effects, name) = (stalled.effects, Arc::clone(&who.client_id));
            // What is to begin may have ended an earlier session.
            let of = if matches!(stalled.reply, Reply::ConnAck(_)) { END_OF_SESSION } else { "a publish" };
            let is_kept = self.let_wait(Unowned { effects, of, name });
            if let Reply::Ack(packet_id, QoS::ExactlyOnce) = stalled.reply
                && is_kept
            {
                connection.session.expect_release(packet_id);
            }
        }
        if let Some((position, Reply::ConnAck(_))) = connection.held.back() {
            // It may have ended a session, and did not live to see that on disk: its next connection has to.
            self.last_end = self.last_end.max(*position);
        }
        self.presences.disconnect(&who.client_id, *reason, self.now, now_ms());
        let disconnected = connection.presence.disconnected(&who, *reason, now_ms());
        // Who has got no CONNACK was never here.
        let was_here = !connection.is_opening;
        let will = connection.session.take_will(*reason).filter(|_| was_here);
        self.leave_session(*connection, will);
        self.publish_event(disconnected.filter(|_| was_here));
    }

    /// Publishes what the server itself has to say.
    pub(super) fn publish_event(&mut self, event: Option<Event>) {
        let Some(Event { topic, payload }) = event else { return };
        let Ok(topic) = TopicName::parse(&topic) else { return };
        let incoming = Incoming {
            topic,
            payload: payload.as_bytes(),
            qos: QoS::AtLeastOnce,
            retain: false,
            attached: &Attached::default(),
            source: Source::default(),
            depth: 0,
        };
        let effects = publication::ripple(&incoming, |incoming, consequences, offers| {
            self.route(incoming, None, consequences, offers);
        });
        self.keep_unowned(Unowned { effects, of: "an event", name: topic.as_str().into() });
    }

    pub(super) fn publish_will(&mut self, client: &mut Client, will: &Will) {
        let topic = will.topic();
        let who = Arc::clone(&client.who);
        if let Err(denied) = client.may_publish_will(&self.shared.registry, &topic, will.retain, self.now_s) {
            self.me().counters.denied.increment();
            self.observe_denied(&who, &denied);
            return denied.log(&who, 0);
        }
        let source = Source {
            client_id: Some(&who.client_id),
            principal: Some(&who.principal),
            source_ip: Some(who.peer.ip()),
            trace_id: None,
        };
        let (payload, qos, retain, attached) = (&*will.payload, will.qos, will.retain, &will.attached);
        let incoming = Incoming { topic, payload, qos, retain, attached, source, depth: 0 };
        let effects = publication::ripple(&incoming, |incoming, consequences, offers| {
            self.route(incoming, None, consequences, offers);
        });
        self.keep_unowned(Unowned { effects, of: "a will", name: Arc::clone(&who.client_id) });
    }

    /// Ends the sessions of certificates that are no longer active.
    pub(super) fn drop_certificates(&mut self, dropped: &[CertificateId]) {
        if dropped.is_empty() {
            return;
        }
        let concerned = self
            .connections
            .iter()
            .filter(|(_, c)| c.client.certificate_id.is_some_and(|id| dropped.contains(&id)));
        for key in concerned.map(|(key, _)| key).collect::<Vec<_>>() {
            let farewell = Farewell::new(DisconnectReason::AuthError, "its certificate is no longer ACTIVE");
            self.end(key, farewell);
        }
    }

    /// Closes every client, because the server ends.
    pub(super) fn end_all(&mut self) {
        for key in self.connections.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            self.end(key, Farewell::new(DisconnectReason::ServerInitiatedDisconnect, "the server ends"));
        }
        self.close_marked();
    }
}

/// A client that was accepted, and is no longer: one of MQTT 5 is told so, as far as its socket takes it.
fn refuse_late(mut transport: Transport, peer: &mqtt_session::Peer, reason: ReasonCode) {
    let (refusal, mut bytes) = (Packet::ConnAck(ConnAck::new(reason)), [0; 16]);
    if peer.version == ProtocolVersion::V5
        && let Ok(length) = refusal.encode(peer.version, &mut bytes)
    {
        // The client may be gone, which is no news.
        let _ = transport.write(&bytes[..length]).and_then(|_| transport.flush());
    }
    transport.close();
}
