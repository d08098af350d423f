//! `eyot explain`.

use serde_json::Value;

use crate::client::{Api, ServerArgs};
use crate::failure::{Failure, Outcome};
use crate::terminal::{Paint, printable_line, say, say_json};

/// Happenings that are shown; `--json` has all.
const SHOWN_MAX: usize = 12;

/// Why a client did not get in, why it was hung up on, why nobody gets its messages
///
/// Asks the running server what it has written down about a client, and says what to do next. The server keeps the last
/// happenings of each client in memory, until it restarts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot explain pico_w_simple                       by client id
  eyot explain --thing pico_w_simple               by thing: whatever its certificates were used for
  eyot explain --certificate 5f1c…                 by certificate id, or the certificate's ARN
  eyot explain --address 192.168.1.30              of a device that never said who it is
  eyot explain --topic sensors/kitchen             who gets messages of a topic, and who nearly does
  eyot explain pico_w_simple --json | jq .summary")]
#[command(group = clap::ArgGroup::new("subject").required(true).multiple(true))]
pub(super) struct Explain {
    /// The client id, as the device sends it in CONNECT
    #[arg(value_name = "CLIENT_ID", group = "subject", conflicts_with_all = ["thing", "certificate", "address"])]
    client_id: Option<String>,
    /// A thing
    #[arg(long, value_name = "NAME", group = "subject", conflicts_with_all = ["certificate", "address"])]
    thing: Option<String>,
    /// A certificate, by its id or ARN
    #[arg(long, value_name = "ID", group = "subject", conflicts_with = "address")]
    certificate: Option<String>,
    /// An IP address that connections came from
    #[arg(long, value_name = "IP", group = "subject")]
    address: Option<String>,
    /// Who gets messages of this topic [default: the one that the client published to last]
    #[arg(long, value_name = "TOPIC", group = "subject")]
    topic: Option<String>,
    /// Print everything that is known as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Explain {
    pub(super) fn run(self) -> Outcome {
        let api = Api::of(&self.server)?;
        if api.target().is_aws() {
            return Err(Failure::new("AWS does not say why")
                .advice("turn on its logging and read AWSIotLogsV2: `aws logs tail AWSIotLogsV2`"));
        }
        let parameters = [
            ("client", &self.client_id),
            ("thing", &self.thing),
            ("certificate", &self.certificate),
            ("address", &self.address),
            ("topic", &self.topic),
        ];
        let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let answer = api.explain(parameters.collect())?;
        if self.json {
            return say_json(&answer);
        }
        show(&answer, Paint::stdout())
    }
}

/// A text of the answer, as it may stand on a line. Client ids and topics are chosen by devices: they must not drive this
/// terminal.
fn text<'v>(value: &'v Value, name: &str) -> std::borrow::Cow<'v, str> {
    printable_line(value[name].as_str().unwrap_or_default())
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn show(answer: &Value, paint: Paint) -> Outcome {
    let subject = answer["subject"].as_object().and_then(|subject| subject.iter().next());
    if let Some((kind, name)) = subject {
        let kind = match kind.as_str() {
            "clientId" => "client",
            "thingName" => "thing",
            "certificateId" => "certificate",
            _ => "address",
        };
        let name = printable_line(name.as_str().unwrap_or_default());
        say!("{kind} {}: {}", paint.bold(&name), text(answer, "summary"))?;
    }
    show_connection(&answer["connection"], paint)?;
    show_session(&answer["session"], paint)?;
    list(answer, "certificates").iter().try_for_each(|certificate| show_certificate(certificate, paint))?;
    show_happenings(list(answer, "happenings"), answer["subject"]["clientId"].is_null(), paint)?;
    let anonymous = list(answer, "anonymous");
    if !anonymous.is_empty() {
        say!("\n{}", paint.bold("connections that never said who they are, perhaps its:"))?;
        show_happenings(anonymous, false, paint)?;
    }
    let similar: Vec<_> =
        list(answer, "similar").iter().filter_map(Value::as_str).map(printable_line).collect();
    if !similar.is_empty() {
        say!("\nclients with a similar id: {}; upper and lower case count", similar.join(", "))?;
    }
    show_topic(&answer["topic"], paint)
}

fn show_connection(connection: &Value, paint: Paint) -> Outcome {
    if connection.is_null() {
        return Ok(());
    }
    let number = |name: &str| connection[name].as_u64().unwrap_or_default();
    say!(
        "  {} {}, keep-alive {} s, {} in flight, {} queued{}",
        paint.dim("connection "),
        text(connection, "protocol"),
        number("keepAliveSeconds"),
        number("inflight"),
        number("queued"),
        if connection["isBlocked"] == true { ", its socket takes no more" } else { "" }
    )?;
    show_subscriptions(connection, paint)
}

/// The one that waits for a client that is away.
fn show_session(session: &Value, paint: Paint) -> Outcome {
    if session.is_null() {
        return Ok(());
    }
    let queued = session["queued"].as_u64().unwrap_or_default();
    let (protocol, ends_at) = (text(session, "protocol"), text(session, "endsAt"));
    let will = session["willTopic"].as_str().map(|topic| {
        format!(", its will on {} waits until {}", printable_line(topic), text(session, "willDueAt"))
    });
    let will = will.unwrap_or_default();
    say!(
        "  {} {protocol}, the client is away, {queued} queued, ends at {ends_at}{will}",
        paint.dim("session    ")
    )?;
    show_subscriptions(session, paint)
}

fn show_subscriptions(of: &Value, paint: Paint) -> Outcome {
    let filters: Vec<_> = list(of, "subscriptions").iter().map(|one| text(one, "topicFilter")).collect();
    let shown = if filters.is_empty() { "nothing".to_owned() } else { filters.join(", ") };
    say!("  {} {shown}", paint.dim("subscribed to"))
}

fn show_certificate(certificate: &Value, paint: Paint) -> Outcome {
    let names = |name: &str, key: &str| {
        let names = list(certificate, name).iter().map(|one| match one {
            Value::String(name) => printable_line(name).into_owned(),
            other => format!("{} v{}", text(other, key), other["version"]),
        });
        let names = names.collect::<Vec<_>>().join(", ");
        if names.is_empty() { "none".to_owned() } else { names }
    };
    let id = text(certificate, "certificateId");
    let id = id.get(..16).unwrap_or_default();
    match certificate["status"].as_str() {
        None => say!("  {} {id}… {}", paint.dim("certificate"), paint.red("not registered")),
        Some(status) => {
            let status = if status == "ACTIVE" { paint.green(status) } else { paint.red(status) };
            let (policies, things) = (names("policies", "policyName"), names("things", ""));
            say!("  {} {id}… {status}, policies: {policies}, things: {things}", paint.dim("certificate"))
        }
    }
}

/// `names_clients`: they may be of several.
fn show_happenings(happenings: &[Value], names_clients: bool, paint: Paint) -> Outcome {
    let older = happenings.len().saturating_sub(SHOWN_MAX);
    if older > 0 {
        say!("  {}", paint.dim(&format!("… {older} older ones, see --json")))?;
    }
    // A hint that was given is not repeated.
    let mut given: Vec<&str> = Vec::new();
    for happening in &happenings[older..] {
        show_happening(happening, names_clients, paint)?;
        let hints = list(happening, "hints").iter().filter_map(Value::as_str);
        for hint in hints {
            if !given.contains(&hint) {
                given.push(hint);
                say!("             {} {}", paint.yellow("→"), printable_line(hint))?;
            }
        }
    }
    Ok(())
}

fn show_happening(happening: &Value, names_client: bool, paint: Paint) -> Outcome {
    let at = text(happening, "until");
    let time = at.get(11..19).unwrap_or(&at);
    let is_trouble = happening["isTrouble"] == true;
    let mark = if is_trouble { paint.red("✘") } else { paint.green("•") };
    let count = happening["count"].as_u64().unwrap_or(1);
    let since = text(happening, "at");
    let times = match count {
        1 => String::new(),
        _ => format!(" ({count} times since {})", since.get(11..19).unwrap_or(&since)),
    };
    let source = match happening["sourceIp"].as_str() {
        Some(ip) => format!("[{}:{}]", printable_line(ip), happening["sourcePort"]),
        None => String::new(),
    };
    let whose = match happening["clientId"].as_str() {
        Some(client_id) if names_client => format!("client {} ", printable_line(client_id)),
        _ => String::new(),
    };
    let sentence = text(happening, "sentence");
    say!("  {} {mark} {whose}{sentence}{times} {}", paint.dim(time), paint.dim(&source))?;
    let policy = &happening["policy"];
    if !policy["document"].is_null() {
        let place = format!(
            "policy {} version {} statement {}:",
            text(policy, "policyName"),
            policy["version"],
            policy["statement"]
        );
        let document = policy["document"].to_string();
        say!("             {} {}", paint.dim(&place), printable_line(&document))?;
    }
    Ok(())
}

fn show_topic(topic: &Value, paint: Paint) -> Outcome {
    if topic.is_null() {
        return Ok(());
    }
    let because = if topic["because"] == "last publish" { " (its last publish)" } else { "" };
    say!("\ntopic {}{because}: {}", paint.bold(&text(topic, "topic")), text(topic, "summary"))?;
    for receiver in list(topic, "receivers") {
        let (client_id, qos) = (text(receiver, "clientId"), &receiver["qos"]);
        let by = match receiver["sharedSubscription"].as_str() {
            Some(filter) => format!(" in turn with the others of `{}`", printable_line(filter)),
            None => String::new(),
        };
        if receiver["isAway"] == true && by.is_empty() {
            say!("  {} {client_id} is away: what has QoS 1 waits for it", paint.yellow("•"))?;
        } else if receiver["isAway"] == true {
            say!("  {} {client_id} is away, and would get it{by}", paint.yellow("•"))?;
        } else if receiver["mayReceive"] == true {
            say!("  {} {client_id} gets it{by}, QoS {qos} at most", paint.green("•"))?;
        } else {
            say!(
                "  {} {client_id} is subscribed and may not receive it: {}",
                paint.red("✘"),
                text(receiver, "reason")
            )?;
        }
    }
    for group in list(topic, "sharedSubscriptions") {
        let number = |name: &str| group[name].as_u64().unwrap_or_default();
        let (members, online, queued) = (number("members"), number("online"), number("queued"));
        let dropped = match number("dropped") {
            0 => String::new(),
            dropped => paint.red(&format!(", {dropped} dropped because it was full")),
        };
        say!(
            "  {} {} is shared by {members}, {online} of them connected: one gets each message; {queued} wait{dropped}",
            paint.dim("∗"),
            text(group, "topicFilter")
        )?;
    }
    for rule in list(topic, "rules") {
        let (name, number) = (text(rule, "ruleName"), |name: &str| rule[name].as_u64().unwrap_or_default());
        let failed = number("actionsFailed") + number("sqlFailed");
        let failures = if failed > 0 {
            paint.red(&format!("{failed} failures; the server's log says why"))
        } else {
            "no failures".to_owned()
        };
        let (matched, done) = (number("matched"), number("actionsSucceeded"));
        say!(
            "  {} rule {name}: matched {matched} messages, {done} actions done, {failures}",
            paint.green("•")
        )?;
    }
    for near in list(topic, "near") {
        let whose = match near["rule"].as_str() {
            Some(rule) => format!("rule {}", printable_line(rule)),
            None => text(near, "clientId").into_owned(),
        };
        let (filter, sentence) = (text(near, "topicFilter"), text(near, "sentence"));
        say!("  {} {whose} has `{filter}`: {sentence}", paint.yellow("≈"))?;
    }
    Ok(())
}
