//! Bytes on their way, and links that break.

use super::client::{Kind, Link};
use super::trace::show;
use super::world::{Ghost, World};
use mqtt_wire::{Packet, ProtocolVersion};
use std::collections::VecDeque;
use std::time::Duration;

/// Nothing here is larger.
pub(super) const PACKET_BYTES_MAX: usize = 1 << 20;

impl Link {
    /// Whether anything is on its way.
    pub(super) fn is_busy(&self) -> bool {
        !self.up.is_empty() || !self.down.is_empty()
    }
}

impl World {
    /// Everything arrives whose time has come.
    pub(super) fn carry(&mut self) {
        self.look_at_written();
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            if client.link.as_ref().is_some_and(|link| link.wire.socket().is_shut) {
                // From now on its session waits, whenever the client finds that out.
                client.away_since.get_or_insert(self.now);
            }
            self.carry_up(at);
            self.carry_down(at);
        }
        let now = self.now;
        for ghost in &mut self.ghosts {
            ghost.wire.socket().written.clear();
            if ghost.told_at.is_some_and(|told_at| told_at <= now) {
                ghost.told_at = None;
                ghost.wire.end(ghost.is_broken);
            }
        }
        self.ghosts.retain(|ghost| !ghost.wire.socket().is_shut);
    }

    /// Takes what the server has written, and sends it on its way.
    pub(super) fn look_at_written(&mut self) {
        for at in 0..self.clients.len() {
            let Some(link) = &mut self.clients[at].link else { continue };
            let written = std::mem::take(&mut link.wire.socket().written);
            if written.is_empty() {
                continue;
            }
            link.observed.extend_from_slice(&written);
            if !link.is_lost {
                let delay = Duration::from_millis(self.random.below(30));
                let earliest = link.down.back().map_or(self.now, |(arrives_at, _)| *arrives_at);
                link.down.push_back((earliest.max(self.now + delay), written));
            }
            self.observe_all(at);
        }
    }

    fn observe_all(&mut self, at: usize) {
        let version = self.clients[at].profile.version;
        loop {
            let Some(link) = &mut self.clients[at].link else { return };
            let observed = std::mem::take(&mut link.observed);
            let Some((packet, used)) =
                mqtt_wire::decode(&observed, version, PACKET_BYTES_MAX).expect("the server sends MQTT")
            else {
                link.observed = observed;
                return;
            };
            let starts_at = link.observed_bytes;
            link.observed_bytes += used as u64;
            self.observe(at, &packet, starts_at);
            if let Some(link) = &mut self.clients[at].link {
                link.observed = observed[used..].to_vec();
            }
        }
    }

    fn carry_up(&mut self, at: usize) {
        while let Some(link) = &mut self.clients[at].link
            && let Some((_, bytes)) = link.up.pop_front_if(|(arrives_at, _)| *arrives_at <= self.now)
        {
            if link.is_lost {
                continue;
            }
            link.wire.arrive(&bytes);
            if !link.is_admitted {
                self.admit(at);
            }
        }
    }

    /// What the accepting thread does when the CONNECT is there.
    fn admit(&mut self, at: usize) {
        let kind = self.clients[at].profile.kind;
        let Some(link) = &mut self.clients[at].link else { return };
        let arrived: Vec<u8> = std::mem::take(&mut link.wire.socket().arrived).into();
        let Some((Packet::Connect(connect), used)) =
            mqtt_wire::decode(&arrived, ProtocolVersion::V311, PACKET_BYTES_MAX).expect("clients send MQTT")
        else {
            return link.wire.arrive(&arrived);
        };
        link.is_admitted = true;
        let wire = link.wire.clone();
        match self.server().connect(at, &connect, arrived[used..].to_vec(), &wire) {
            Ok(()) => assert!(kind != Kind::Intruder, "somebody got in as {}", connect.client_id),
            Err(denied) => {
                assert!(kind == Kind::Intruder, "{} was refused: {}", connect.client_id, denied.reason);
                self.counts.refused += 1;
                self.note(format_args!("{} is refused", self.clients[at].profile.name));
                self.clients[at].link = None;
            }
        }
    }

    fn carry_down(&mut self, at: usize) {
        loop {
            let Some(link) = &mut self.clients[at].link else { return };
            if link.is_deaf || link.is_lost {
                return;
            }
            let Some((_, bytes)) = link.down.pop_front_if(|(arrives_at, _)| *arrives_at <= self.now) else {
                let is_over = link.down.is_empty() && {
                    let socket = link.wire.socket();
                    socket.is_shut && socket.written.is_empty()
                };
                if is_over {
                    self.note(format_args!(
                        "{} sees that its connection has ended",
                        self.clients[at].profile.name
                    ));
                    self.hang_up(at);
                }
                return;
            };
            link.wire.make_room(bytes.len());
            link.input.extend_from_slice(&bytes);
            self.receive_all(at);
        }
    }

    fn receive_all(&mut self, at: usize) {
        let version = self.clients[at].profile.version;
        while let Some(link) = &mut self.clients[at].link {
            let input = std::mem::take(&mut link.input);
            let Some((packet, used)) =
                mqtt_wire::decode(&input, version, PACKET_BYTES_MAX).expect("the server sends MQTT")
            else {
                link.input = input;
                return;
            };
            link.input = input[used..].to_vec();
            self.counts.packets += 1;
            self.note(format_args!("{} < {}", self.clients[at].profile.name, show(&packet)));
            self.receive(at, &packet);
        }
    }

    /// A client sends a packet, which may arrive in pieces.
    pub(super) fn send(&mut self, at: usize, packet: &Packet<'_>) {
        self.note(format_args!("{} > {}", self.clients[at].profile.name, show(packet)));
        self.counts.packets += 1;
        let version = self.clients[at].profile.version;
        let mut bytes = vec![0; packet.encoded_len(version)];
        packet.encode(version, &mut bytes).expect("a packet that can be sent");
        while !bytes.is_empty() {
            let count = if self.random.chance(30) {
                1 + self.random.below(bytes.len() as u64) as usize
            } else {
                bytes.len()
            };
            let rest = bytes.split_off(count);
            let arrives_at = self.now + Duration::from_millis(self.random.below(30));
            let Some(link) = &mut self.clients[at].link else { return };
            let earliest = link.up.back().map_or(self.now, |(arrives_at, _)| *arrives_at);
            link.up.push_back((earliest.max(arrives_at), std::mem::replace(&mut bytes, rest)));
        }
    }

    /// A link breaks, in one of several ways.
    pub(super) fn break_a_link(&mut self) {
        let at = self.random.below(self.clients.len() as u64) as usize;
        let name = self.clients[at].profile.name;
        let client = &mut self.clients[at];
        let Some(link) = &mut client.link else { return };
        client.away_since.get_or_insert(self.now);
        match self.random.below(3) {
            0 => {
                // Nothing arrives any more, and the client does not know.
                link.is_lost = true;
                self.counts.half_open += 1;
                self.note(format_args!("{name}: the link is lost, and it does not know"));
            }
            1 => {
                self.counts.half_open += 1;
                self.note(format_args!("{name} is gone, and the server does not know"));
                self.leave(at, None);
            }
            _ => {
                self.counts.breaks += 1;
                self.note(format_args!("{name}: the link breaks"));
                let told_at = self.now + Duration::from_millis(self.random.below(500));
                self.leave(at, Some(told_at));
            }
        }
    }

    /// The client has its connection no longer; what has not arrived is lost from somewhere on.
    pub(super) fn leave(&mut self, at: usize, told_at: Option<Duration>) {
        let Some(link) = self.clients[at].link.take() else { return };
        let arriving = self.random.below(link.up.len() as u64 + 1) as usize;
        if !link.is_lost && link.is_admitted {
            link.up.into_iter().take(arriving).for_each(|(_, bytes)| link.wire.arrive(&bytes));
        }
        self.clients[at].away_since.get_or_insert(self.now);
        if link.is_admitted {
            let is_broken = self.random.chance(50);
            // A broken link that the server believes in has room for what it holds, and no more.
            self.ghosts.push(Ghost { client: at, wire: link.wire, told_at, is_broken });
        }
        self.forget_transmissions(at);
    }

    /// Both sides know that the connection is over.
    pub(super) fn hang_up(&mut self, at: usize) {
        let now = self.now;
        if let Some(link) = &self.clients[at].link
            && link.is_lost
        {
            link.wire.socket().written.clear();
        }
        self.leave(at, Some(now));
    }

    /// What was sent on the link that is gone was not acknowledged, as far as its client knows.
    fn forget_transmissions(&mut self, at: usize) {
        for in_flight in &mut self.clients[at].in_flight {
            in_flight.promised = None;
        }
    }

    /// A new link.
    pub(super) fn dial(&mut self) -> Link {
        let room = [16, 100, 1_000, 100_000][self.random.below(4) as usize];
        let wire = super::line::Wire::new(room);
        Link {
            wire,
            is_admitted: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            is_lost: false,
            observed: Vec::new(),
            observed_bytes: 0,
            decided_before: 0,
            input: Vec::new(),
            is_deaf: false,
            is_mute: !self.is_calm && self.random.chance(15),
            is_clean: false,
            is_persistent: false,
            session_before: super::client::Stands::No,
            is_open: false,
            receive_maximum: 0,
            outstanding: Vec::new(),
            acks: VecDeque::new(),
            asked: None,
        }
    }
}
