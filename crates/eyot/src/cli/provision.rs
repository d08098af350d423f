//! `eyot provision`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::client::{Api, ServerArgs};
use crate::failure::{Failure, Outcome};
use crate::input_file;
use crate::provision::{
    self, Asked, Check, DeviceFiles, GROUP, KeySource, Plan, PolicyChoice, Provisioned, RULE, Verdict,
};
use crate::terminal::{Paint, say, say_json, whoever_listens};

/// Make all that a device needs: thing, keys, certificate, policy, and files for the board
///
/// It talks the AWS API, so it provisions on AWS as well: with --endpoint-url https://iot.REGION.amazonaws.com and
/// the usual credentials. Repeating it with the same directory uses the certificate that is there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot provision pico_w_simple --telemetry --out keys
  eyot provision pump-7 --policy only-telemetry.json --key-type p256
  eyot provision pump-8 --csr pump-8.csr
  eyot provision pico_w_simple --endpoint-url https://iot.eu-central-1.amazonaws.com")]
pub(super) struct Provision {
    /// The thing's name; also the device's client id
    #[arg(value_name = "THING", value_parser = thing_name)]
    thing: String,
    /// Where its files go [default: THING-keys]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Policy document (JSON); the policy is named after the file [default: those that the certificate has; for a new
    /// one allow-all, as in the post]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Certificate signing request (PEM) of a device that keeps its own key
    #[arg(long, value_name = "FILE", conflicts_with = "key_type")]
    csr: Option<PathBuf>,
    /// Kind of key: rsa is made by the service, p256 here [default: that of the device's key; for a new one rsa]
    #[arg(long, value_enum, value_name = "TYPE")]
    key_type: Option<KeyType>,
    /// Make the post's rule `telemetry` and its log group as well, unless they are there
    #[arg(long)]
    telemetry: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum KeyType {
    /// RSA-2048, as in the post
    Rsa,
    /// ECDSA on P-256: smaller, and much faster to sign on a board
    P256,
}

impl Provision {
    pub(super) fn run(self) -> Outcome {
        let api = Api::of(&self.server)?;
        if self.telemetry && api.target().is_aws() {
            return Err(Failure::new("the rule is not made on AWS")
                .why("there its action needs an IAM role that may write to CloudWatch Logs")
                .advice("make it in the console, as the post does: Message routing, Rules"));
        }
        let keys = match (self.csr, self.key_type) {
            (Some(path), _) => KeySource::Request(input_file::read_text(&path, "--csr FILE")?),
            (None, None | Some(KeyType::Rsa)) => KeySource::Rsa,
            (None, Some(KeyType::P256)) => KeySource::P256,
        };
        let plan = Plan {
            thing: &self.thing,
            files: DeviceFiles::at(self.out.unwrap_or_else(|| provision::default_dir(&self.thing))),
            policy: PolicyChoice::of(self.policy.as_deref())?,
            keys,
            asked: if self.key_type.is_some() { Asked::Yes } else { Asked::No },
        };
        let mut made = provision::provision(&api, &plan)?;
        // An existing rule stays as it is: its owner may have changed it.
        if !api.target().is_aws() && !api.has_topic_rule(RULE)? {
            if self.telemetry {
                provision::ensure_telemetry(&api, &made.thing_arn)?;
            } else {
                made.notes.push(format!(
                    "there is no rule `{RULE}` yet, so what is published to {} goes nowhere: --telemetry makes it, and the log group `{GROUP}`",
                    made.connection.topic
                ));
            }
        }
        whoever_listens(if self.json { say_json(&as_json(&plan, &made)) } else { show(&plan, &made) })?;
        match made.checks.iter().find_map(|check| match &check.verdict {
            Verdict::Bad(why) => Some((&check.what, why)),
            _ => None,
        }) {
            None => Ok(()),
            Some((what, why)) => Err(Failure::new(format!("`{}` cannot connect with this", self.thing))
                .why(format!("it does not hold that {what}: {why}"))
                .advice("mend the policy, and run the same command again: nothing is made twice")),
        }
    }
}

/// [AWS iot CreateThing] thingName: `[a-zA-Z0-9:_-]{1,128}`.
pub(super) fn thing_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
    if (1..=128).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a thing's name has 1 to 128 letters, digits and :_-".to_owned())
    }
}

fn show(plan: &Plan<'_>, made: &Provisioned) -> Outcome {
    let paint = Paint::stdout();
    let connection = &made.connection;
    let verb = if made.reused { "found" } else { "made" };
    say!("{} {}", paint.bold("thing      "), connection.thing_name)?;
    say!("{} {} ({verb})", paint.bold("certificate"), made.certificate_arn)?;
    say!("{} {}", paint.bold("policies   "), made.policies.join(", "))?;
    say!(
        "{} {}:{} as client `{}`",
        paint.bold("connect to "),
        connection.endpoint,
        connection.port,
        connection.client_id
    )?;
    say!("{} {}", paint.bold("publish to "), connection.topic)?;
    say!("{} {}", paint.bold("files in   "), plan.files.dir().display())?;
    for check in &made.checks {
        say!("{}", check.line(paint))?;
    }
    for note in &made.notes {
        say!("{} {note}", paint.yellow("!"))?;
    }
    Ok(())
}

fn as_json(plan: &Plan<'_>, made: &Provisioned) -> Value {
    let checks: Vec<Value> = made.checks.iter().map(Check::json).collect();
    json!({
        "thingName": made.connection.thing_name,
        "thingArn": made.thing_arn,
        "certificateArn": made.certificate_arn,
        "certificateReused": made.reused,
        "policies": made.policies,
        "directory": plan.files.dir(),
        "connection": made.connection,
        "checks": checks,
        "notes": made.notes,
    })
}
