//! A loop's turns one by one, for whoever has no threads.

use super::EventLoop;
use crate::slots::Key;
use crate::transport::Transport;
use mio::Events;
use std::time::Duration;

impl EventLoop {
    /// One turn, with what the system would have told of the links by now.
    pub(crate) fn step(&mut self) {
        self.me().mailbox.woke();
        self.look_at_clock();
        let told = |(key, line): (Key, &mut crate::simulation::Line)| (key, line.take_news());
        let news: Vec<_> = self.lines().map(told).collect();
        for (key, news) in news {
            if news.writable {
                self.mark_dirty(key);
            }
            if news.readable {
                self.mark_ready(key, news.ended);
            }
        }
        self.turn(&Events::with_capacity(1));
    }

    /// How long it would sleep; zero: there is something to do. `None`: until somebody wakes it.
    pub(crate) fn sleeps(&mut self) -> Option<Duration> {
        if self.lines().any(|(_, line)| line.has_news()) || !self.me().mailbox.may_sleep() {
            return Some(Duration::ZERO);
        }
        self.timeout()
    }

    /// Bytes for a client that were decided about and wait for its link.
    pub(crate) fn unsent(&self, client_id: &str) -> usize {
        let connection = self.clients.get(client_id).and_then(|key| self.connections.get(*key));
        connection.map_or(0, |connection| connection.outbox.len())
    }

    /// What [`run`](Self::run) does when it was told to end; gives whether it is time for that.
    pub(crate) fn end_if_drained(&mut self, is_late: bool) -> bool {
        if is_late && let Some((deadline, _)) = &mut self.draining {
            *deadline = self.now;
        }
        let is_drained = self.is_drained();
        if is_drained {
            if let Some((deadline, _)) = &mut self.draining {
                // Nothing moves while this loop waits for the journal: what finds no room now is lost.
                *deadline = self.now;
            }
            self.finish();
        }
        is_drained
    }

    fn lines(&mut self) -> impl Iterator<Item = (Key, &mut crate::simulation::Line)> {
        self.connections.iter_mut().filter_map(|(key, connection)| match &mut connection.transport {
            Transport::Simulated(line) => Some((key, line)),
            Transport::Plain(_) | Transport::Tls(..) | Transport::Carried(_) => None,
        })
    }
}
