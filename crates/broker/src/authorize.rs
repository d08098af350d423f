//! May this client do this? Asks the registry who it is and its policies what it may.
//!
//! A client with a certificate keeps the principal that it was last looked up as, with the registry's epoch: one atomic
//! load tells whether a decision needs a new look-up. Other clients have the same rights as long as the server runs.
//! Decisions about the topic that was used last are kept for the same epoch and second (policies may ask for the time):
//! devices repeat their topics.

use crate::account::Place;
use crate::carried::Identity;
use crate::clock::now_ms;
use crate::history::{Blame, Cause};
use crate::message::Due;
use crate::shared::Shared;
use crate::topics::{self, Topic};
use iot_policy::{Action, Context, Decision, Effect, PolicySet, Resource};
use mqtt_session::{Accepted, ClientId, Session, Throttled, Will};
use mqtt_wire::topic::SHARE_PREFIX;
use mqtt_wire::{Connect, ReasonCode};
use pki::CertificateId;
use registry::{Principal, Registry};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// Who a client is, unchangeable while it is connected.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) client_id: Arc<str>,
    /// The certificate id as text, the access key id of who signed, or `insecure`.
    pub(crate) principal: Box<str>,
    pub(crate) has_certificate: bool,
    pub(crate) peer: SocketAddr,
    /// The server name that it asked TLS for.
    pub(crate) domain_name: Option<Box<str>>,
}

impl Who {
    /// For the log.
    pub(crate) fn certificate_id(&self) -> Option<&str> {
        self.has_certificate.then_some(&self.principal)
    }

    /// For the log: who it is if that is not a certificate.
    pub(crate) fn other_principal(&self) -> Option<&str> {
        (!self.has_certificate).then_some(&self.principal)
    }
}

/// A connected client, as far as permission is concerned.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) who: Arc<Who>,
    /// `None`: it has none, and its rights do not change.
    pub(crate) certificate_id: Option<CertificateId>,
    rights: Rights,
    /// The registry's epoch that `rights` are of.
    epoch: u64,
    published: Option<LastDecision>,
    received: Option<LastDecision>,
    /// Held while it is connected.
    place: Option<Place>,
}

/// What a client may do.
#[derive(Debug, Clone)]
enum Rights {
    /// What the policies of its certificate say.
    Certificate(Arc<Principal>),
    /// What these say.
    Fixed(Arc<PolicySet>),
}

impl Rights {
    fn of(shared: &Shared, identity: &Identity) -> Result<Self, String> {
        match identity {
            Identity::Certificate(id) => active_principal(&shared.registry, id).map(Self::Certificate),
            Identity::AccessKey(_) => Ok(Self::Fixed(Arc::clone(&shared.full_access))),
            Identity::Insecure => Ok(Self::Fixed(Arc::clone(&shared.insecure))),
        }
    }

    fn policies(&self) -> &PolicySet {
        match self {
            Self::Certificate(principal) => &principal.policies,
            Self::Fixed(policies) => policies,
        }
    }
}

/// What was decided about the topic that was asked for last.
#[derive(Debug)]
struct LastDecision {
    topic: Box<str>,
    epoch: u64,
    now_s: i64,
    allowed: bool,
}

/// Why something was not allowed.
#[derive(Debug)]
pub(crate) enum Denied {
    /// The certificate is no longer active.
    NotActive(String),
    /// Its policies say so, or do not say otherwise.
    ByPolicy { action: Action, resource: String, reason: String, blame: Box<Blame> },
}

impl Denied {
    /// AWS just hangs up; here the log says why. One event of this shape per denial that is told; `untold` came before it.
    pub(crate) fn log(&self, who: &Who, untold: u64) {
        let (client_id, certificate_id, peer) = (&*who.client_id, who.certificate_id(), who.peer);
        match self {
            Self::NotActive(reason) => {
                tracing::warn!(target: "eyot::authorize", client_id, certificate_id, %peer, reason, "denied");
            }
            Self::ByPolicy { action, resource, reason, .. } => {
                let (principal, untold) = (who.other_principal(), (untold > 0).then_some(untold));
                tracing::warn!(
                    target: "eyot::authorize", client_id, certificate_id, principal, %peer, %action, resource, reason,
                    untold, "denied"
                );
            }
        }
    }
}

/// The principal of everybody who comes to the plain port, as rules and events see it.
const INSECURE: &str = "insecure";

/// The principal of a certificate that may be used; else why it may not.
pub(crate) fn active_principal(registry: &Registry, id: &CertificateId) -> Result<Arc<Principal>, String> {
    match registry.principal(id) {
        None => Err(format!("certificate {id} is not registered")),
        Some(principal) if !principal.is_active() => {
            Err(format!("certificate {id} is {}, and only ACTIVE ones may connect", principal.status))
        }
        Some(principal) => Ok(principal),
    }
}

/// Why a client does not get in.
#[derive(Debug)]
pub(crate) struct ConnectDenied {
    /// For the log.
    pub(crate) reason: String,
    /// For a client of MQTT 5; one of MQTT 3.1.1 gets no answer. [verified 1: AWS closes without CONNACK]
    pub(crate) answer: Option<ReasonCode>,
    /// The same by kind.
    pub(crate) cause: Cause,
    /// Who it is, when its certificate is good and no policy lets it in.
    pub(crate) unauthorized: Option<Arc<Who>>,
}

impl From<NotPermitted> for ConnectDenied {
    fn from(NotPermitted { reason, cause }: NotPermitted) -> Self {
        let answer = Some(ReasonCode::NotAuthorized);
        Self { reason, answer, cause, unauthorized: None }
    }
}

impl From<Throttled> for ConnectDenied {
    /// [AWS mqtt5-reason-codes] One of MQTT 3.1.1 is hung up on.
    fn from(throttled: Throttled) -> Self {
        let (reason, answer) = (throttled.to_string(), Some(ReasonCode::QuotaExceeded));
        let cause = Cause::Throttled(throttled.quota);
        Self { reason, answer, cause, unauthorized: None }
    }
}

/// Why a client may not connect, whatever it has to say.
#[derive(Debug)]
pub(crate) struct NotPermitted {
    /// In a sentence.
    pub(crate) reason: String,
    /// By kind.
    pub(crate) cause: Cause,
}

impl NotPermitted {
    fn certificate(reason: String) -> Self {
        Self { reason, cause: Cause::NotActive }
    }

    fn policy(reason: String, blame: Box<Blame>) -> Self {
        Self { reason, cause: Cause::Policy(blame) }
    }
}

/// Decides about a CONNECT: certificate, protocol and limits, policies.
///
/// # Errors
/// What the log and, with MQTT 5, the client are told.
pub(crate) fn connect(
    shared: &Shared,
    connect: &Connect<'_>,
    identity: &Identity,
    peer: SocketAddr,
    server_name: Option<&str>,
    now: Instant,
) -> Result<(Session<Due>, Accepted, Client), ConnectDenied> {
    let epoch = shared.registry.epoch();
    let rights = Rights::of(shared, identity).map_err(NotPermitted::certificate)?;
    let (session, accepted) = Session::accept(connect, &shared.limits, now).map_err(|refusal| {
        let answer = refusal.answer(connect.version);
        let (reason, cause) = (refusal.to_string(), Cause::Protocol);
        ConnectDenied { reason, answer, cause, unauthorized: None }
    })?;
    let client_id = match accepted.client_id {
        ClientId::Given => connect.client_id.into(),
        ClientId::Assign => Uuid::new_v4().to_string().into(),
    };
    let (principal, certificate_id) = match identity {
        Identity::Certificate(id) => (id.to_string().into(), Some(*id)),
        Identity::AccessKey(id) => (id.clone(), None),
        Identity::Insecure => (INSECURE.into(), None),
    };
    let who = Arc::new(Who {
        client_id,
        principal,
        has_certificate: certificate_id.is_some(),
        peer,
        domain_name: server_name.map(Into::into),
    });
    let mut client =
        Client { who, certificate_id, rights, epoch, published: None, received: None, place: None };
    let permit = client.permit_connect(&shared.registry, &accepted, session.will());
    permit.map_err(|denied| {
        let unauthorized = Some(Arc::clone(&client.who));
        ConnectDenied { unauthorized, ..ConnectDenied::from(denied) }
    })?;
    client.place = Some(shared.account.connect(&client.who.client_id, now)?);
    Ok((session, accepted, client))
}

/// Decides again about a client that was decided about on another thread, if anything has changed since.
pub(crate) fn permit_again(
    shared: &Shared,
    client: &Client,
    accepted: &Accepted,
    will: Option<&Will>,
) -> Result<(), NotPermitted> {
    let Some(certificate_id) = &client.certificate_id else { return Ok(()) };
    if shared.registry.epoch() == client.epoch {
        return Ok(());
    }
    let principal = active_principal(&shared.registry, certificate_id).map_err(NotPermitted::certificate)?;
    let client = Client {
        rights: Rights::Certificate(principal),
        who: Arc::clone(&client.who),
        published: None,
        received: None,
        place: None,
        ..*client
    };
    client.permit_connect(&shared.registry, accepted, will)
}

impl Client {
    /// iot:Connect, and for a will iot:Publish to its topic. [AWS iot-policy-actions]
    fn permit_connect(
        &self,
        registry: &Registry,
        accepted: &Accepted,
        will: Option<&Will>,
    ) -> Result<(), NotPermitted> {
        let mut attributes = Vec::new();
        if accepted.is_persistent() {
            attributes.push("PersistentConnect");
        }
        let will_topic = will.map(|will| will.topic());
        let will_resource = will_topic.map(|topic| Resource::topic(topic.as_str()));
        if will.is_some() {
            attributes.push("LastWill");
        }
        let will_arn = will_topic.map(|topic| format!("{}topic/{topic}", registry.identity().arn_prefix()));
        let context = Context {
            connect_attributes: Some(&attributes),
            last_will_topic: will_arn.as_deref(),
            ..self.context(now_ms() / 1000)
        };
        let decide = |action, resource, what: &str| {
            let decision = self.rights.policies().decide(action, resource, &context);
            let Decision { reason, .. } = &decision;
            match decision.is_allowed() {
                true => Ok(()),
                false => Err(NotPermitted::policy(format!("{what}: {reason}"), Blame::of(reason))),
            }
        };
        decide(Action::Connect, Resource::client(&self.who.client_id), "iot:Connect is not allowed")?;
        let (Some(topic), Some(resource)) = (will_topic, will_resource) else { return Ok(()) };
        if let Topic::Reserved(reason) = topics::of_publish(&topic) {
            let reason = format!("the will's topic `{topic}` cannot be published to: {reason}");
            return Err(NotPermitted::policy(reason, Blame::reserved()));
        }
        const WILL: &str = "the will may not be published";
        decide(Action::Publish, resource, WILL)?;
        if will.is_some_and(|will| will.retain) {
            decide(Action::RetainPublish, resource, WILL)?;
        }
        Ok(())
    }

    /// iot:Publish, and iot:RetainPublish for a message that is to be retained.
    pub(crate) fn may_publish(
        &mut self,
        registry: &Registry,
        topic: &str,
        retain: bool,
        now_s: i64,
    ) -> Result<(), Denied> {
        self.refresh(registry)?;
        let is_known = self.published.as_ref().is_some_and(|last| last.holds(topic, self.epoch, now_s));
        if !is_known {
            self.decide(Action::Publish, Resource::topic(topic), now_s)?;
            // Only what is allowed is asked twice: a denial ends the connection.
            remember(&mut self.published, topic, self.epoch, now_s, true);
        }
        if retain {
            self.decide(Action::RetainPublish, Resource::topic(topic), now_s)?;
        }
        Ok(())
    }

    /// The same for a will, whose client may have lost its connection *because* its certificate is not active any
    /// more: its policies decide all the same.
    pub(crate) fn may_publish_will(
        &mut self,
        registry: &Registry,
        topic: &str,
        retain: bool,
        now_s: i64,
    ) -> Result<(), Denied> {
        if let Some(principal) = self.certificate_id.and_then(|id| registry.principal(&id)) {
            self.rights = Rights::Certificate(principal);
        }
        self.decide(Action::Publish, Resource::topic(topic), now_s)?;
        if retain { self.decide(Action::RetainPublish, Resource::topic(topic), now_s) } else { Ok(()) }
    }

    /// iot:Subscribe.
    pub(crate) fn may_subscribe(
        &mut self,
        registry: &Registry,
        filter: &str,
        now_s: i64,
    ) -> Result<(), Denied> {
        self.refresh(registry)?;
        self.decide(Action::Subscribe, Resource::topic_filter(filter), now_s)
    }

    /// iot:Receive. A denial withholds the message and nothing more; it is logged when it is decided, not for every
    /// message that is withheld by it: then it is given back, too.
    pub(crate) fn may_receive(
        &mut self,
        registry: &Registry,
        topic: &str,
        now_s: i64,
    ) -> Result<(), Option<Denied>> {
        let refreshed = self.refresh(registry);
        if let Some(last) = &self.received
            && last.holds(topic, self.epoch, now_s)
        {
            return if last.allowed && refreshed.is_ok() { Ok(()) } else { Err(None) };
        }
        let decided = refreshed.and_then(|()| self.decide(Action::Receive, Resource::topic(topic), now_s));
        remember(&mut self.received, topic, self.epoch, now_s, decided.is_ok());
        decided.map_err(|denied| {
            denied.log(&self.who, 0);
            Some(denied)
        })
    }

    /// Why it would not be given a message of this topic now, if so. Changes nothing: for whoever asks why.
    /// `group`: the shared filter that it comes through.
    pub(crate) fn why_not_receive(
        &self,
        registry: &Registry,
        topic: &str,
        group: Option<&str>,
        now_s: i64,
    ) -> Option<Denied> {
        let active = self.certificate_id.map(|id| active_principal(registry, &id));
        match (active, group) {
            (Some(Err(reason)), _) => Some(Denied::NotActive(reason)),
            (_, None) => self.decide(Action::Receive, Resource::topic(topic), now_s).err(),
            (_, Some(filter)) => self.decide_shared(topic, filter, now_s).err(),
        }
    }

    /// The topic of the last publish that was allowed.
    pub(crate) fn published_topic(&self) -> Option<&str> {
        self.published.as_ref().map(|last| &*last.topic)
    }

    /// iot:Receive of a message that comes through a shared subscription, whose filter begins with `$share/NAME`.
    ///
    /// [verified 27] AWS's own examples allow both the topic and `$share/NAME/TOPIC`, others one of them: either allows it
    /// here, and either denies it.
    pub(crate) fn may_receive_shared(
        &mut self,
        registry: &Registry,
        topic: &str,
        filter: &str,
        now_s: i64,
    ) -> Result<(), Denied> {
        self.refresh(registry)?;
        self.decide_shared(topic, filter, now_s)
    }

    fn decide_shared(&self, topic: &str, filter: &str, now_s: i64) -> Result<(), Denied> {
        let share_name = filter.split('/').nth(1).unwrap_or_default();
        let shared = format!("{SHARE_PREFIX}{share_name}/{topic}");
        let context = self.context(now_s);
        let decide = |topic: &str| {
            self.rights.policies().decide(Action::Receive, Resource::topic(topic), &context).effect
        };
        let effects = [decide(topic), decide(&shared)];
        if effects.contains(&Effect::Allowed) && !effects.contains(&Effect::ExplicitDeny) {
            return Ok(());
        }
        // Once more for its reason, which is only made for what is denied.
        let blamed = if effects[1] == Effect::ExplicitDeny { &*shared } else { topic };
        self.decide(Action::Receive, Resource::topic(blamed), now_s)
    }

    /// It is no longer connected, and decides on about what it left behind.
    pub(crate) fn leave(&mut self) {
        self.place = None;
    }

    /// Looks the principal up again if anything has changed in the registry.
    fn refresh(&mut self, registry: &Registry) -> Result<(), Denied> {
        // Read before the principal: what changes in between is seen as a change once more.
        let epoch = registry.epoch();
        if epoch != self.epoch {
            if let Some(id) = &self.certificate_id {
                let principal = active_principal(registry, id).map_err(Denied::NotActive)?;
                self.rights = Rights::Certificate(principal);
            }
            self.epoch = epoch;
        }
        Ok(())
    }

    fn decide(&self, action: Action, resource: Resource<'_>, now_s: i64) -> Result<(), Denied> {
        let context = self.context(now_s);
        let decision = self.rights.policies().decide(action, resource, &context);
        if decision.is_allowed() {
            return Ok(());
        }
        let (reason, blame) = (decision.reason.to_string(), Blame::of(&decision.reason));
        Err(Denied::ByPolicy { action, resource: resource.to_string(), reason, blame })
    }

    fn context(&self, now_s: i64) -> Context<'_> {
        let (client_id, source_ip) = (&*self.who.client_id, Some(self.who.peer.ip()));
        let known = match &self.rights {
            Rights::Certificate(principal) => principal.context(client_id, source_ip),
            Rights::Fixed(_) => Context { client_id: Some(client_id), source_ip, ..Context::default() },
        };
        Context { domain_name: self.who.domain_name.as_deref(), now_s: Some(now_s), ..known }
    }
}

impl LastDecision {
    fn holds(&self, topic: &str, epoch: u64, now_s: i64) -> bool {
        self.epoch == epoch && self.now_s == now_s && *self.topic == *topic
    }
}

/// Keeps a decision; the topic's memory is used again where it is the same one.
fn remember(last: &mut Option<LastDecision>, topic: &str, epoch: u64, now_s: i64, allowed: bool) {
    match last {
        Some(last) if *last.topic == *topic => {
            (last.epoch, last.now_s, last.allowed) = (epoch, now_s, allowed)
        }
        _ => *last = Some(LastDecision { topic: topic.into(), epoch, now_s, allowed }),
    }
}
