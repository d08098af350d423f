//! Under which names devices reach this server: what stands in its certificate and what DescribeEndpoint returns.

use std::net::IpAddr;

use crate::config::Settings;

/// Names and addresses of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// DNS names of the certificate.
    pub(crate) dns: Vec<String>,
    /// Addresses of the certificate.
    pub(crate) addresses: Vec<IpAddr>,
    /// What DescribeEndpoint returns: a bare name or address.
    pub(crate) endpoint: String,
    /// Addresses by which the local network reaches us; only with `--lan`.
    pub(crate) lan: Vec<IpAddr>,
}

/// This machine, as the network sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    /// Its host name, without a domain.
    pub(crate) hostname: Option<String>,
    /// Its addresses, loopback left out.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn this() -> Self {
        let hostname = gethostname::gethostname();
        let hostname =
            hostname.to_str().and_then(|name| name.split('.').next()).filter(|name| is_label(name));
        let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()
            .unwrap_or_default()
            .into_iter()
            .map(|interface| interface.ip())
            .filter(|ip| !ip.is_loopback() && !is_link_local(*ip))
            .collect();
        // IPv4 first: small boards speak nothing else. Sorted, so that the certificate stays the same between starts.
        addresses.sort_by_key(|ip| (ip.is_ipv6(), !is_private(*ip), *ip));
        addresses.dedup();
        Self { hostname: hostname.map(str::to_owned), addresses }
    }
}

impl Names {
    /// The names that the settings ask for.
    pub(crate) fn of(settings: &Settings, machine: &Machine) -> Self {
        let loopback = ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().expect("an address"));
        let mut names = Self {
            dns: vec!["localhost".to_owned()],
            addresses: loopback.to_vec(),
            endpoint: "localhost".to_owned(),
            lan: Vec::new(),
        };
        let host = settings.device_host();
        if !host.is_unspecified() {
            names.add(&host.to_string());
        }
        if settings.lan {
            // What listens on 0.0.0.0 is not reached by IPv6.
            let reached = machine.addresses.iter().filter(|ip| host.is_ipv6() || ip.is_ipv4());
            names.lan = reached.copied().collect();
            if let Some(hostname) = &machine.hostname {
                names.add(&format!("{hostname}.local"));
                names.add(hostname);
            }
            for address in names.lan.clone() {
                names.add(&address.to_string());
            }
            // `localhost` in a board's settings would be the board. An address works where mDNS does not.
            if let Some(address) = names.lan.first() {
                names.endpoint = address.to_string();
            }
        }
        for name in settings.advertise.iter().flatten() {
            names.add(name);
        }
        if let Some(first) = settings.advertise.iter().flatten().next() {
            names.endpoint.clone_from(first);
        }
        names
    }

    /// Everything that the server certificate has to name.
    pub(crate) fn certificate(&self) -> Vec<String> {
        self.dns.iter().cloned().chain(self.addresses.iter().map(ToString::to_string)).collect()
    }

    /// By what else the local network may reach us than the endpoint.
    pub(crate) fn lan_names(&self) -> Vec<String> {
        let local = self.dns.iter().filter(|name| name.ends_with(".local")).cloned();
        let addresses = self.lan.iter().map(ToString::to_string);
        local.chain(addresses).filter(|name| *name != self.endpoint).collect()
    }

    fn add(&mut self, name: &str) {
        match name.parse() {
            Ok(address) if !self.addresses.contains(&address) => self.addresses.push(address),
            Err(_) if !self.dns.iter().any(|known| known.eq_ignore_ascii_case(name)) => {
                self.dns.push(name.to_ascii_lowercase());
            }
            _ => {}
        }
    }
}

fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Given;

    fn names(given: Given) -> Names {
        let given = Given { in_memory: Some(true), ..given };
        let machine = Machine {
            hostname: Some("Desk".to_owned()),
            addresses: vec![
                "192.168.1.20".parse().expect("an address"),
                "fd00::1".parse().expect("an address"),
            ],
        };
        Names::of(&Settings::resolve(given).expect("valid"), &machine)
    }

    #[test]
    fn alone_a_machine_is_localhost() {
        let names = names(Given::default());
        assert_eq!(
            (names.endpoint.as_str(), names.dns.as_slice()),
            ("localhost", &["localhost".to_owned()][..])
        );
        assert!(names.lan.is_empty());
        assert!(names.addresses.iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn on_a_network_boards_get_an_address() {
        let names = names(Given { lan: Some(true), ..Given::default() });
        assert_eq!(names.endpoint, "192.168.1.20");
        assert!(names.dns.contains(&"desk.local".to_owned()), "{names:?}");
        assert!(names.addresses.contains(&"192.168.1.20".parse().expect("an address")));
        assert!(!names.addresses.contains(&"fd00::1".parse().expect("an address")), "0.0.0.0 is IPv4 alone");
    }

    #[test]
    fn the_first_advertised_name_is_the_endpoint() {
        let advertise = Some(vec!["Iot.Example".to_owned(), "10.0.0.9".to_owned()]);
        let names = names(Given { lan: Some(true), advertise, ..Given::default() });
        assert_eq!(names.endpoint, "Iot.Example");
        assert!(names.dns.contains(&"iot.example".to_owned()));
        assert!(names.addresses.contains(&"10.0.0.9".parse().expect("an address")));
    }
}
