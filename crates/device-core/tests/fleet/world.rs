//! Boards, a network with faults and a server, in virtual time.

use crate::board::Board;
use crate::chance::Chance;
use crate::server::{Desk, Heard, connack, encoded};
use device_core::{Action, Phase, SEND_BYTES_MAX};
use mqtt_wire::ProtocolVersion::V311;
use mqtt_wire::{Ack, Packet, PacketId};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// What goes wrong on its own. Outages are planned beside it.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    /// One acknowledgement in so many is never sent.
    pub(crate) acks_lost_one_in: Option<u64>,
    /// One packet in so many breaks its connection, after some of its bytes have arrived.
    pub(crate) resets_one_in: Option<u64>,
    /// The server takes up to so long to answer.
    pub(crate) answer_ms_max: u64,
}

impl Faults {
    pub(crate) const NONE: Self = Self { acks_lost_one_in: None, resets_one_in: None, answer_ms_max: 50 };
}

pub(crate) struct World<'a> {
    pub(crate) boards: Vec<Board<'a>>,
    pub(crate) desks: Vec<Desk>,
    pub(crate) faults: Faults,
    pub(crate) now_ms: u64,
    is_server_up: bool,
    /// By time, then in the order in which they were planned.
    events: BTreeMap<(u64, u64), Event>,
    planned: u64,
    connections: u64,
    /// Which reading a packet carries, by board, connection and packet identifier.
    carried: HashMap<(usize, u64, u16), usize>,
    chance: Chance,
}

/// What happens at a moment.
#[derive(Clone)]
pub(crate) enum Event {
    Wake {
        board: usize,
    },
    /// TCP and TLS are done.
    Opened {
        board: usize,
        connection: u64,
    },
    /// TCP found nobody, or a connection broke.
    Closed {
        board: usize,
        connection: u64,
    },
    ToServer {
        board: usize,
        connection: u64,
        bytes: Vec<u8>,
    },
    ToBoard {
        board: usize,
        connection: u64,
        bytes: Vec<u8>,
    },
    /// A connection breaks at the server's end.
    Reset {
        board: usize,
        connection: u64,
    },
    ServerDown,
    ServerUp,
    /// From now on packets of these boards vanish, and nobody tells them.
    NetworkSilent {
        boards: Range<usize>,
    },
    /// Their radio has noticed.
    NetworkDown {
        boards: Range<usize>,
    },
    NetworkUp {
        boards: Range<usize>,
    },
    SetFaults(Faults),
}

/// One way through the network.
const LATENCY_MS: Range<u64> = 5..40;

impl<'a> World<'a> {
    pub(crate) fn new(boards: Vec<Board<'a>>, faults: Faults, seed: u64) -> Self {
        let count = boards.len();
        let mut world = Self {
            boards,
            desks: (0..count).map(|_| Desk::default()).collect(),
            faults,
            now_ms: 0,
            is_server_up: true,
            events: BTreeMap::new(),
            planned: 0,
            connections: 0,
            carried: HashMap::new(),
            chance: Chance::new(seed),
        };
        // They were not all switched on in the same second.
        for board in 0..count {
            let at_ms = world.chance.below(20_000);
            world.plan(at_ms, Event::NetworkUp { boards: board..board + 1 });
        }
        world
    }

    pub(crate) fn plan(&mut self, at_ms: u64, event: Event) {
        self.planned += 1;
        self.events.insert((at_ms.max(self.now_ms), self.planned), event);
    }

    pub(crate) fn run_until(&mut self, end_ms: u64) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= end_ms
        {
            let ((at_ms, _), event) = entry.remove_entry();
            self.now_ms = at_ms;
            self.happen(event);
        }
        self.now_ms = end_ms;
    }

    /// How many boards began to connect in the busiest window of a time.
    pub(crate) fn knocks_max(&self, time: Range<u64>, window_ms: u64) -> usize {
        let mut knocks: Vec<u64> =
            self.boards.iter().flat_map(|board| board.knocked_at_ms.iter().copied()).collect();
        knocks.retain(|at_ms| time.contains(at_ms));
        knocks.sort_unstable();
        let in_window =
            |first: usize| knocks[first..].partition_point(|at_ms| *at_ms < knocks[first] + window_ms);
        (0..knocks.len()).map(in_window).max().unwrap_or(0)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { board } => {
                if self.boards[board].wake_at_ms == self.now_ms {
                    self.boards[board].wake_at_ms = u64::MAX;
                    self.settle(board);
                }
            }
            Event::Opened { board, connection } => {
                if self.is_reached(board, connection) && self.is_server_up {
                    self.desks[board].accept(connection);
                    self.boards[board].device.handle_transport_connected(self.now_ms);
                    self.settle(board);
                }
            }
            Event::Closed { board, connection } => {
                if self.is_reached(board, connection) {
                    self.boards[board].connection = None;
                    self.boards[board].device.handle_closed(self.now_ms);
                    self.settle(board);
                }
            }
            Event::ToServer { board, connection, bytes } => self.serve(board, connection, &bytes),
            Event::ToBoard { board, connection, bytes } => {
                if self.is_reached(board, connection) {
                    self.note_acknowledged(board, connection, &bytes);
                    self.boards[board].device.handle_bytes(&bytes, self.now_ms);
                    self.settle(board);
                }
            }
            Event::Reset { board, connection } => self.reset(board, connection),
            Event::ServerDown => {
                self.is_server_up = false;
                for board in 0..self.boards.len() {
                    if let Some(connection) = self.desks[board].connection() {
                        self.reset(board, connection);
                    }
                }
            }
            Event::ServerUp => self.is_server_up = true,
            Event::NetworkSilent { boards } => {
                boards.for_each(|board| self.boards[board].has_network = false);
            }
            Event::NetworkDown { boards } => {
                for board in boards {
                    self.boards[board].has_network = false;
                    self.boards[board].device.handle_offline(self.now_ms);
                    self.settle(board);
                }
            }
            Event::NetworkUp { boards } => {
                for board in boards {
                    self.boards[board].has_network = true;
                    self.boards[board].device.handle_online(self.now_ms);
                    self.settle(board);
                }
            }
            Event::SetFaults(faults) => self.faults = faults,
        }
    }

    /// Whether something sent to the board over a connection arrives.
    fn is_reached(&self, board: usize, connection: u64) -> bool {
        let board = &self.boards[board];
        board.has_network && board.connection == Some(connection)
    }

    /// Carries out what the device wants, and plans when it is looked at again.
    fn settle(&mut self, board: usize) {
        let mut out = [0; SEND_BYTES_MAX];
        while let Some(action) = self.boards[board].device.poll_action(self.now_ms, &mut out) {
            match action {
                Action::Sample { .. } => self.boards[board].measure(self.now_ms),
                Action::OpenTransport => self.open(board),
                Action::Send { bytes, .. } => self.send(board, &out[..bytes]),
                Action::Close(_) => self.boards[board].connection = None,
            }
        }
        let now_ms = self.now_ms;
        let this = &mut self.boards[board];
        assert!(this.connection.is_none() || this.device.phase() != Phase::Offline);
        let due_ms = this.device.poll_timeout().expect("it was not stopped");
        assert!(due_ms > now_ms, "what is due is done");
        if due_ms < this.wake_at_ms {
            this.wake_at_ms = due_ms;
            self.plan(due_ms, Event::Wake { board });
        }
    }

    fn open(&mut self, board: usize) {
        self.connections += 1;
        let connection = self.connections;
        let this = &mut self.boards[board];
        this.connection = Some(connection);
        this.knocked_at_ms.push(self.now_ms);
        let open_at_ms = self.now_ms + this.handshake_ms;
        if self.is_server_up && this.has_network {
            self.plan(open_at_ms, Event::Opened { board, connection });
        } else if !self.is_server_up && self.chance.below(4) != 0 {
            // The machine is there and the server is not. Else nobody answers at all.
            let at_ms = self.later();
            self.plan(at_ms, Event::Closed { board, connection });
        }
    }

    /// The device's packet on its way, in one piece or two, or only the first with the end of the connection.
    fn send(&mut self, board: usize, packet: &[u8]) {
        let Some(connection) = self.boards[board].connection else { return };
        if !self.boards[board].has_network {
            return;
        }
        let middle = 1 + self.chance.below(packet.len() as u64 - 1) as usize;
        let (first, second) = packet.split_at(middle);
        // Everything takes as long, so nothing overtakes.
        let at_ms = self.now_ms + LATENCY_MS.end;
        self.plan(at_ms, Event::ToServer { board, connection, bytes: first.to_vec() });
        if self.faults.resets_one_in.is_some_and(|times| self.chance.one_in(times)) {
            self.plan(at_ms, Event::Reset { board, connection });
        } else {
            self.plan(at_ms, Event::ToServer { board, connection, bytes: second.to_vec() });
        }
    }

    fn serve(&mut self, board: usize, connection: u64, bytes: &[u8]) {
        if !self.is_server_up {
            return;
        }
        for heard in self.desks[board].hear(connection, bytes) {
            match heard {
                Heard::Connect => self.answer(board, connection, connack()),
                Heard::Ping => self.answer(board, connection, encoded(Packet::PingResp)),
                Heard::Reading { payload, packet_id } => {
                    self.receive(board, connection, &payload, packet_id);
                }
            }
        }
    }

    fn receive(&mut self, board: usize, connection: u64, payload: &str, packet_id: PacketId) {
        let number = self.boards[board].number(payload, self.now_ms - LATENCY_MS.end);
        self.desks[board].receive(number);
        self.carried.insert((board, connection, packet_id.number()), number);
        if !self.faults.acks_lost_one_in.is_some_and(|times| self.chance.one_in(times)) {
            self.answer(board, connection, encoded(Packet::PubAck(Ack::success(packet_id))));
        }
    }

    /// Each answer takes its own time, so acknowledgements come in any order.
    fn answer(&mut self, board: usize, connection: u64, bytes: Vec<u8>) {
        let at_ms = self.later() + self.chance.below(self.faults.answer_ms_max);
        self.plan(at_ms, Event::ToBoard { board, connection, bytes });
    }

    fn note_acknowledged(&mut self, board: usize, connection: u64, bytes: &[u8]) {
        if let Ok(Some((Packet::PubAck(ack), _))) = mqtt_wire::decode(bytes, V311, SEND_BYTES_MAX) {
            let number =
                self.carried.remove(&(board, connection, ack.packet_id.number())).expect("it was received");
            self.boards[board].acknowledged.insert(number);
        }
    }

    /// The server's end of a connection goes, and the board hears of it.
    fn reset(&mut self, board: usize, connection: u64) {
        if self.desks[board].hang_up(connection) {
            let at_ms = self.later();
            self.plan(at_ms, Event::Closed { board, connection });
        }
    }

    fn later(&mut self) -> u64 {
        self.now_ms + self.chance.between(LATENCY_MS.start, LATENCY_MS.end)
    }
}
