//! The time for devices whose network has no way to the Internet's time servers: SNTP on UDP.
//!
//! Off unless `--sntp-port` is given. The answers are the host's clock; `device_core::sntp` decides which packets get
//! one, and an answer is never longer than its question.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use device_core::sntp::{self, SNTP_BYTES, SNTP_PORT};

use crate::failure::{Context as _, Failure, Outcome};
use crate::wall_clock;

use super::{Stop, is_taken};

/// How long the thread waits for a packet before it looks whether to stop.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// A thread that answers one packet after another; what comes faster waits in the socket's buffer, or is dropped there.
pub(super) struct Sntp {
    address: SocketAddr,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Sntp {
    /// Listens and answers.
    pub(super) fn start(address: SocketAddr) -> Outcome<Self> {
        let failed = || "the time cannot be served".to_owned();
        let socket = UdpSocket::bind(address).map_err(|error| cannot_listen(address, &error))?;
        socket.set_read_timeout(Some(LOOK_PAUSE)).context(failed)?;
        let address = socket.local_addr().context(failed)?;
        let stop = Stop::default();
        let told = stop.clone();
        let thread = std::thread::Builder::new()
            .name("sntp".to_owned())
            .spawn(move || answer_until(&told, &socket))
            .context(failed)?;
        tracing::info!(target: "eyot", %address, "telling the time over SNTP");
        Ok(Self { address, stop, thread })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.stop.now();
        if self.thread.join().is_err() {
            tracing::error!(target: "eyot", "the SNTP thread had panicked");
        }
    }
}

fn answer_until(stop: &Stop, socket: &UdpSocket) {
    // One more than a question has, so that a longer packet is seen to be none.
    let mut packet = [0; SNTP_BYTES + 1];
    while !stop.is_said() {
        match socket.recv_from(&mut packet) {
            Ok((bytes, from)) => answer(socket, &packet[..bytes], from),
            Err(error) if is_pause(&error) => {}
            Err(error) => {
                tracing::warn!(target: "eyot", %error, "cannot read questions for the time");
                stop.wait_for(LOOK_PAUSE);
            }
        }
    }
}

fn answer(socket: &UdpSocket, question: &[u8], from: SocketAddr) {
    let now_ms = u64::try_from(wall_clock::now_ms()).unwrap_or(0);
    let Some(answer) = sntp::answer(question, now_ms) else {
        tracing::debug!(target: "eyot", %from, bytes = question.len(), "no question for the time");
        return;
    };
    match socket.send_to(&answer, from) {
        Ok(_) => tracing::debug!(target: "eyot", %from, "told the time"),
        // Whoever asked asks again.
        Err(error) => tracing::debug!(target: "eyot", %from, %error, "cannot tell the time"),
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("cannot listen on UDP {address}"));
    let port = address.port();
    if is_taken(error) {
        failure.why(format!("UDP port {port} is in use by another program")).advice(format!(
            "see which one: ss -lunp 'sport = :{port}'; if it tells the time already, leave --sntp-port away"
        ))
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        failure
            .why(format!("port {port} is reserved for the system"))
            .advice(format!("boards ask port {SNTP_PORT}: allow it with sudo sysctl net.ipv4.ip_unprivileged_port_start={SNTP_PORT}"))
            .advice("other clients may be told another port: --sntp-port N")
    } else {
        failure.because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use device_core::sntp::Request;

    #[test]
    fn a_question_over_udp_is_answered_with_the_hosts_time() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let sntp = Sntp::start(any).expect("a free port");
        let client = UdpSocket::bind(any).expect("a free port");
        client.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        client.connect(sntp.address()).expect("loopback");
        let request = Request::new(42);
        // The first is dropped, so the answer that comes is that of the second.
        client.send(&request.bytes()[..47]).expect("loopback");
        client.send(&request.bytes()).expect("loopback");
        let mut packet = [0; 100];
        let bytes = client.recv(&mut packet).expect("an answer");
        let told = request.check(&packet[..bytes], 0).expect("the time");
        assert!(told.abs_diff(u64::try_from(wall_clock::now_ms()).expect("after 1970")) < 60_000, "{told}");
        sntp.end();
    }
}
