//! Certificates: their dates, and whether a device would believe the server.

use std::path::Path;

use rustls::ClientConfig;

use crate::config::Settings;
use crate::device::{Addresses, Endpoint, verify_server};
use crate::ready::Ready;
use crate::serve::{Machine, Names};
use crate::wall_clock;

use super::Finding;

/// The CA's dates; with a running server also whether its certificate has the names that devices use.
pub(super) fn certificates(dir: &Path, settings: &Settings, running: Option<&Ready>) -> Vec<Finding> {
    let path = running.map_or_else(|| dir.join("ca").join(pki::ROOT_CERTIFICATE), |ready| ready.ca.clone());
    let Ok(pem) = std::fs::read(&path) else {
        return vec![Finding::good("CA", "none yet; `eyot serve` creates it")];
    };
    let mut findings = vec![authority(&path, &pem)];
    if let Some(port) = running.and_then(|ready| ready.mqtts).map(|address| address.port()) {
        let names = Names::of(settings, &Machine::this());
        let mut hosts = vec!["localhost".to_owned()];
        if running.and_then(|ready| ready.mqtts).is_some_and(|address| address.ip().is_loopback())
            && settings.lan
        {
            findings.push(Finding::bad(
                "network",
                format!("the server listens on port {port} of this machine alone"),
                "start it with --lan",
            ));
        } else {
            hosts.extend(names.lan.iter().map(ToString::to_string));
            hosts.extend(
                [names.endpoint]
                    .into_iter()
                    .filter(|host| !names.lan.iter().any(|ip| ip.to_string() == *host)),
            );
            hosts.dedup();
        }
        findings.extend(hosts.into_iter().map(|host| server_certificate(Endpoint { host, port }, &pem)));
    }
    findings
}

fn authority(path: &Path, pem: &[u8]) -> Finding {
    const SUBJECT: &str = "CA";
    let shown = path.display();
    let info = match pki::parse_certificate(pem) {
        Ok(info) => info,
        Err(error) => {
            return Finding::bad(
                SUBJECT,
                format!("{shown} is unreadable: {error}"),
                "restore ca/ from a copy",
            );
        }
    };
    let until = wall_clock::to_date(info.not_after.saturating_mul(1000));
    let now_s = wall_clock::now_ms() / 1000;
    if now_s < info.not_before {
        let from = wall_clock::to_date(info.not_before.saturating_mul(1000));
        return Finding::bad(
            SUBJECT,
            format!("{shown} is valid from {from} on, later than now"),
            "set the clock",
        );
    }
    if now_s > info.not_after {
        return Finding::bad(
            SUBJECT,
            format!("{shown} ended on {until}"),
            "a new CA means new root certificates on every device: move ca/ away and start again",
        );
    }
    Finding::good(SUBJECT, format!("{shown}, valid until {until}"))
}

fn server_certificate(endpoint: Endpoint, ca_pem: &[u8]) -> Finding {
    const SUBJECT: &str = "certificate";
    match verify_server(ClientConfig::builder(), &endpoint, Addresses::All, ca_pem) {
        Ok(not_after) => Finding::good(
            SUBJECT,
            format!(
                "a device believes {endpoint}, until {}",
                wall_clock::to_date(not_after.saturating_mul(1000))
            ),
        ),
        Err(failure) => Finding::bad(
            SUBJECT,
            format!("a device does not believe {endpoint}: {}", failure.on_one_line()),
            "restart the server with --lan or --advertise NAME: the certificate is made again for its names",
        ),
    }
}
