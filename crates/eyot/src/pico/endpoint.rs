//! Where the board connects, and whether it can.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::client::Api;
use crate::device::{Addresses, Endpoint, verify_server};
use crate::failure::{Context as _, Failure, Outcome};
use crate::provision::{Check, mqtts_port};
use crate::wall_clock;

use super::host::host;
use super::{Roots, board_tls};

/// The given endpoint, or the one that the server names for devices.
pub(crate) fn decide(api: &Api, given: Option<&Endpoint>) -> Outcome<Endpoint> {
    let endpoint = match given {
        Some(endpoint) => endpoint.clone(),
        None => Endpoint { host: api.describe_endpoint()?, port: mqtts_port(api)? },
    };
    if is_this_machine(&endpoint.host) {
        return Err(Failure::new(format!("a board cannot reach `{endpoint}`"))
            .why(format!(
                "{} names that endpoint for devices, and on the board it would be the board itself",
                api.target()
            ))
            .advice("start the server with `eyot serve --lan`: it then names an address of this machine")
            .advice(
                "or say where the board reaches it, and its certificate names it: --endpoint HOST[:PORT]",
            ));
    }
    if let Err(error) = host(&endpoint.host) {
        return Err(Failure::new(format!("a board cannot use `{endpoint}`"))
            .why(format!("{} names that endpoint for devices", api.target()))
            .advice(error.to_string())
            .advice("the server takes such a name with `eyot serve --lan` or --advertise NAME, this command with --endpoint HOST[:PORT]"));
    }
    Ok(endpoint)
}

/// Whether the server answers there, with a certificate that the board will believe.
pub(crate) fn verify(endpoint: &Endpoint, roots: &Roots) -> Outcome<Check> {
    let what = format!("{endpoint} answers with a certificate for that name");
    let pem = match &roots.to_verify {
        Ok(pem) => pem,
        Err(missing) => {
            return Ok(Check::doubtful(
                what,
                format!("not looked at, as {missing} is not among this system's certificates"),
            ));
        }
    };
    let cannot = || format!("the board would not get a connection to {endpoint}");
    if pem.is_empty() {
        return Err(Failure::new(cannot())
            .why("none of the certificate authorities that it would have is valid now")
            .advice("look at this machine's clock, and at the server's CA: `eyot doctor`"));
    }
    // The versions are the firmware's too: 1.2 and 1.3.
    let tls = ClientConfig::builder_with_provider(Arc::new(board_tls::provider()))
        .with_safe_default_protocol_versions()
        .context(|| "cannot start TLS".to_owned())?;
    match verify_server(tls, endpoint, Addresses::V4, pem.as_bytes()) {
        Ok(not_after) => {
            let until = wall_clock::to_date(not_after.saturating_mul(1000));
            Ok(Check::good(format!("{what}, valid until {until}")))
        }
        Err(failure) => Err(Failure::new(cannot())
            .why(failure.on_one_line())
            .advice("start the server with `eyot serve --lan`, or --advertise NAME for another name: its certificate then says so")
            .advice("or correct --endpoint HOST[:PORT]; --ca FILE adds who signed the server's certificate")
            .advice(format!("look at the kind of the server's key and its CA's: {}", board_tls::KNOWN_KEYS))
            .advice("--offline leaves this check out, when the server cannot be reached from here")),
    }
}

/// Names and addresses that mean the machine that uses them.
fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::is_this_machine;

    #[test]
    fn what_would_be_the_board_itself_is_known() {
        for host in ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["192.168.1.20", "laptop.local", "localhost.example", "a1-ats.iot.eu-central-1.amazonaws.com"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
