//! Where the board connects, and whether it can.

use std::net::IpAddr;

use device_core::settings::HOST_BYTES_MAX;

use crate::client::Api;
use crate::device::{Endpoint, verify_server};
use crate::failure::{Failure, Outcome};
use crate::provision::{Check, mqtts_port};
use crate::wall_clock;

use super::Roots;

/// The given endpoint, or the one that the server names for devices.
pub(crate) fn decide(api: &Api, given: Option<&Endpoint>) -> Outcome<Endpoint> {
    let endpoint = match given {
        Some(endpoint) => endpoint.clone(),
        None => Endpoint { host: api.describe_endpoint()?, port: mqtts_port(api)? },
    };
    if given.is_none() && is_this_machine(&endpoint.host) {
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
    if endpoint.host.contains(':') {
        return Err(Failure::new(format!("the firmware cannot connect to `{endpoint}`"))
            .why("it speaks IPv4 alone")
            .advice("give a name or an IPv4 address with --endpoint HOST[:PORT]"));
    }
    if endpoint.host.len() > HOST_BYTES_MAX {
        return Err(Failure::new(format!("a host has at most {HOST_BYTES_MAX} bytes"))
            .advice("correct --endpoint HOST[:PORT]"));
    }
    Ok(endpoint)
}

/// Whether a board can get there, as far as the name tells. A given endpoint is used in any case: in an emulator the
/// board shares this machine's loopback.
pub(crate) fn check_reach(endpoint: &Endpoint) -> Option<Check> {
    is_this_machine(&endpoint.host).then(|| {
        Check::doubtful(
            format!("the board is to connect to {endpoint}"),
            "that is itself; only a board in an emulator reaches this machine so",
        )
    })
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
    match verify_server(endpoint, pem.as_bytes()) {
        Ok(not_after) => {
            let until = wall_clock::to_date(not_after.saturating_mul(1000));
            Ok(Check::good(format!("{what}, valid until {until}")))
        }
        Err(failure) => Err(Failure::new(format!("the board would not get a connection to {endpoint}"))
            .why(failure.on_one_line())
            .advice("start the server with `eyot serve --lan`, or --advertise NAME for another name: its certificate then says so")
            .advice("or correct --endpoint HOST[:PORT]; --ca FILE adds who signed the server's certificate")
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
