//! The post's steps, in its order, through the AWS API. Each may be repeated.

use std::path::Path;

use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::provision::{
    self, Asked, DeviceFiles, GROUP, KeySource, Plan, PolicyChoice, RULE, Verdict, ensure_telemetry,
};
use crate::terminal::{Paint, say};

/// The post's thing.
pub(super) const THING: &str = "pico_w_simple";

/// Makes log group, thing with classic shadow, keys and certificate, policy, attachments and rule.
pub(super) fn run(api: &Api, dir: &Path) -> Outcome<DeviceFiles> {
    let paint = Paint::stdout();
    let done = |what: &str| say!("{} {what}", paint.green("✔"));

    api.ensure_log_group(GROUP)?;
    done(&format!("log group {GROUP}"))?;

    let files = DeviceFiles::at(dir);
    let plan = Plan {
        thing: THING,
        files: files.clone(),
        policy: PolicyChoice::Default,
        keys: KeySource::Rsa,
        asked: Asked::No,
    };
    let made = provision::provision(api, &plan)?;
    api.ensure_classic_shadow(THING)?;
    done(&format!("thing {THING}, with a classic shadow"))?;
    let known = if made.reused { "the ones it has" } else { "new" };
    done(&format!("keys and certificate ({known}), in {}", dir.display()))?;
    done(&format!(
        "policy {}, attached to the certificate; the certificate, to the thing",
        made.policies.join(", ")
    ))?;
    for check in &made.checks {
        if let Verdict::Bad(why) | Verdict::Doubtful(why) = &check.verdict {
            return Err(Failure::new(format!("it does not hold that {}", check.what)).why(why.clone()));
        }
    }

    let sql = ensure_telemetry(api, &made.thing_arn)?;
    done(&format!("rule {RULE}: {sql} → {GROUP}"))?;
    Ok(files)
}
