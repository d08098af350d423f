//! `GET /_eyot/explain`: why a client did not get in, why it was hung up on, why nobody gets what it publishes.
//!
//! `/_eyot/explain/CLIENT_ID`, or one of the parameters `client`, `thing`, `certificate`, `address`; and `topic`, to ask who
//! gets messages of it. What the broker has written down is put beside what the registry says now, and each thing that went
//! wrong is followed by what to do about it (`hints`).

mod audience;
mod certificates;
mod hints;
mod story;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use broker::{By, ClientReport, Happening, What};
use registry::CertificateId;
use serde_json::{Map, Value, json};

use crate::cloud::{Cloud, Parts};
use crate::{dispatch, error, route};

/// The endpoint; a client's id may follow.
pub(crate) const PATH: &str = "/_eyot/explain";

/// Certificates of one client that are looked at: more than one is rare, and anybody can present others.
const CERTIFICATES_MAX: usize = 10;

/// Connections that never said who they are that are shown beside a client's own.
const ANONYMOUS_MAX: usize = 10;

/// Longest parameter, in bytes: a topic of the relaxed profile.
const PARAMETER_BYTES_MAX: usize = 64 * 1024;

/// Whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    Client(String),
    Thing(String),
    Certificate(CertificateId),
    Address(IpAddr),
    /// Only a topic.
    Nobody,
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    about: About,
    topic: Option<String>,
}

pub(crate) async fn answer(State(cloud): State<Arc<Cloud>>, request: Request) -> Response<Body> {
    let (status, body) = match asked(request.uri().path(), request.uri().query().unwrap_or_default()) {
        Ok(asked) => (200, explained(&cloud.parts, asked).await),
        Err(message) => (400, json!({ "message": message })),
    };
    error::own_json(status, &body).into_response(&dispatch::new_request_id())
}

fn asked(path: &str, query: &str) -> Result<Asked, String> {
    let mut about = None;
    let mut topic = None;
    let mut parameters = dispatch::parameters(query);
    if let Some(client_id) = path.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/')) {
        let client_id = route::decoded(client_id);
        let client_id = client_id.ok_or("the client id in the path is not percent-encoded UTF-8")?;
        parameters.push(("client".to_owned(), client_id));
    }
    for (name, value) in parameters {
        if value.len() > PARAMETER_BYTES_MAX {
            return Err(format!(
                "`{name}` has {} bytes, at most {PARAMETER_BYTES_MAX} are looked for",
                value.len()
            ));
        }
        let subject = match &*name {
            "topic" => {
                topic = Some(value);
                continue;
            }
            "client" => About::Client(value),
            "thing" => About::Thing(value),
            "certificate" => {
                // An ARN ends with the id.
                let id = value.rsplit('/').next().unwrap_or_default();
                let id = CertificateId::parse(id).map_err(|_| {
                    format!("`{value}` is no certificate id: it has 64 hexadecimal digits, the SHA-256 of the certificate")
                })?;
                About::Certificate(id)
            }
            "address" => {
                let ip = value
                    .parse()
                    .map_err(|_| format!("`{value}` is no IP address; write it without a port"))?;
                About::Address(ip)
            }
            other => {
                return Err(format!(
                    "there is no parameter `{other}`: it is client, thing, certificate, address or topic"
                ));
            }
        };
        if about.replace(subject).is_some() {
            return Err("ask about one client, thing, certificate or address at a time".to_owned());
        }
    }
    match (about, &topic) {
        (Some(about), _) => Ok(Asked { about, topic }),
        (None, Some(_)) => Ok(Asked { about: About::Nobody, topic }),
        (None, None) => Err(format!(
            "say about whom: {PATH}/CLIENT_ID, or ?client=, ?thing=, ?certificate=, ?address=, ?topic="
        )),
    }
}

async fn explained(parts: &Parts, Asked { about, topic }: Asked) -> Value {
    match about {
        About::Client(client_id) => client(parts, "clientId", &client_id, topic).await,
        // A device calls itself as its thing is called, mostly; the thing's certificates find it when it does not.
        About::Thing(thing) => client(parts, "thingName", &thing, topic).await,
        About::Certificate(id) => {
            let found = parts.broker.happenings(By::Principal(id.to_string())).await.happenings;
            let subject = json!({ "certificateId": id.to_string() });
            others(parts, subject, found, BTreeSet::from([id.to_string()]), topic).await
        }
        About::Address(ip) => {
            let found = parts.broker.happenings(By::Address(ip)).await.happenings;
            let ids = principals(&found);
            others(parts, json!({ "address": ip.to_string() }), found, ids, topic).await
        }
        About::Nobody => others(parts, json!({}), Vec::new(), BTreeSet::new(), topic).await,
    }
}

/// About a certificate or an address.
async fn others(
    parts: &Parts,
    subject: Value,
    happenings: Vec<Happening>,
    ids: BTreeSet<String>,
    topic: Option<String>,
) -> Value {
    let mut answer = Map::new();
    answer.insert("subject".to_owned(), subject);
    answer.insert("summary".to_owned(), json!(story::summary(None, None, &happenings)));
    put_certificates(parts, &mut answer, &ids);
    put_happenings(parts, &mut answer, "happenings", &happenings);
    put_topic(parts, &mut answer, topic, "asked").await;
    Value::Object(answer)
}

async fn client(parts: &Parts, kind: &str, name: &str, topic: Option<String>) -> Value {
    let ClientReport { connection, absent, left, mut happenings } =
        parts.broker.explain(name).await.unwrap_or_default();
    happenings.extend(parts.broker.refusals_of(name));
    let mut ids = principals(&happenings);
    ids.extend(connection.iter().map(|connection| connection.principal.clone()));
    let of_thing = parts.registry.list_thing_principals(name, None, None, CERTIFICATES_MAX);
    if let Ok(page) = of_thing {
        ids.extend(page.items.iter().map(|principal| principal.certificate_id.to_string()));
    }
    if kind == "thingName" {
        // Whatever the thing's certificates were used for, under any client id.
        for id in ids.iter().take(CERTIFICATES_MAX) {
            let found = parts.broker.happenings(By::Principal(id.clone())).await.happenings;
            happenings.extend(found.into_iter().filter(|other| other.client_id.as_deref() != Some(name)));
        }
    }
    happenings.sort_by_key(|happening| happening.until_ms);

    let mut answer = Map::new();
    answer.insert("subject".to_owned(), json!({ kind: name }));
    answer.insert(
        "summary".to_owned(),
        json!(story::summary(connection.as_ref(), absent.as_ref(), &happenings)),
    );
    answer.insert("connection".to_owned(), json!(connection.as_ref().map(story::connection)));
    answer.insert("session".to_owned(), json!(absent.as_ref().map(story::absent)));
    if let (None, Some((since_ms, reason))) = (&connection, left) {
        let left = json!({ "since": story::time(since_ms), "disconnectReason": reason.name() });
        answer.insert("left".to_owned(), left);
    }
    put_certificates(parts, &mut answer, &ids);
    put_happenings(parts, &mut answer, "happenings", &happenings);

    let is_unheard = connection.is_none() && absent.is_none() && !happenings.iter().any(is_coming_or_going);
    let anonymous = anonymous(parts, &happenings, &ids, is_unheard).await;
    put_happenings(parts, &mut answer, "anonymous", &anonymous);
    if is_unheard {
        let similar = parts.broker.happenings(By::SimilarTo(name.to_owned())).await.happenings;
        let similar: BTreeSet<&str> = similar.iter().filter_map(|other| other.client_id.as_deref()).collect();
        answer.insert("similar".to_owned(), json!(similar));
    }
    let last = connection.and_then(|connection| connection.last_publish);
    let (topic, why) = match (topic, last) {
        (None, Some(last)) => (Some(last.topic), "last publish"),
        (topic, _) => (topic, "asked"),
    };
    put_topic(parts, &mut answer, topic, why).await;
    Value::Object(answer)
}

/// Connections that never said who they are and may be this client's: with one of its certificates, or from where it was
/// seen; of a client that was never heard of, the newest of all.
async fn anonymous(
    parts: &Parts,
    known: &[Happening],
    ids: &BTreeSet<String>,
    is_unheard: bool,
) -> Vec<Happening> {
    let ip_of = |happening: &Happening| happening.source.map(|source| source.ip());
    let addresses: BTreeSet<IpAddr> = known.iter().filter_map(ip_of).collect();
    let mut found = parts.broker.happenings(By::Anonymous).await.happenings;
    found.retain(|happening| {
        let is_its = happening.principal.as_deref().is_some_and(|id| ids.contains(id));
        is_unheard || is_its || ip_of(happening).is_some_and(|ip| addresses.contains(&ip))
    });
    let older = found.len().saturating_sub(ANONYMOUS_MAX);
    found.drain(..older);
    found
}

fn is_coming_or_going(happening: &Happening) -> bool {
    matches!(happening.what, What::Connected { .. } | What::Refused { .. } | What::Disconnected { .. })
}

fn principals(happenings: &[Happening]) -> BTreeSet<String> {
    happenings.iter().filter_map(|happening| happening.principal.as_deref()).map(str::to_owned).collect()
}

fn put_certificates(parts: &Parts, answer: &mut Map<String, Value>, ids: &BTreeSet<String>) {
    let ids = ids.iter().filter_map(|id| CertificateId::parse(id).ok()).take(CERTIFICATES_MAX);
    let described: Vec<Value> = ids.map(|id| certificates::described(&parts.registry, &id)).collect();
    answer.insert("certificates".to_owned(), json!(described));
}

fn put_happenings(parts: &Parts, answer: &mut Map<String, Value>, name: &str, happenings: &[Happening]) {
    let told: Vec<Value> =
        happenings.iter().map(|happening| story::told(&parts.registry, happening)).collect();
    answer.insert(name.to_owned(), json!(told));
}

async fn put_topic(parts: &Parts, answer: &mut Map<String, Value>, topic: Option<String>, why: &str) {
    if let Some(topic) = topic {
        answer.insert("topic".to_owned(), audience::described(parts, &topic, why).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read() {
        let about = |about| Ok(Asked { about, topic: None });
        assert_eq!(asked("/_eyot/explain/a%2Fb%20c", ""), about(About::Client("a/b c".to_owned())));
        assert_eq!(asked("/_eyot/explain", "thing=t"), about(About::Thing("t".to_owned())));
        assert_eq!(
            asked("/_eyot/explain", "topic=a%2Fb"),
            Ok(Asked { about: About::Nobody, topic: Some("a/b".to_owned()) })
        );
        let id = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let certificate = CertificateId::parse(id).unwrap();
        let arn = format!("certificate=arn:aws:iot:us-east-1:000000000000:cert/{id}");
        assert_eq!(asked("/_eyot/explain", &arn), about(About::Certificate(certificate)));
        assert_eq!(asked("/_eyot/explain", "address=::1"), about(About::Address("::1".parse().unwrap())));
    }

    #[test]
    fn what_cannot_be_answered_is_said_in_words() {
        for (path, query, words) in [
            ("/_eyot/explain", "", "say about whom"),
            ("/_eyot/explain/a", "thing=b", "one client"),
            ("/_eyot/explain", "certificate=12", "64 hexadecimal digits"),
            ("/_eyot/explain", "address=1.2.3.4:5", "without a port"),
            ("/_eyot/explain/%ff", "", "not percent-encoded UTF-8"),
            ("/_eyot/explain/a", "color=red", "no parameter `color`"),
        ] {
            let message = asked(path, query).unwrap_err();
            assert!(message.contains(words), "{path}?{query}: {message}");
        }
    }
}
