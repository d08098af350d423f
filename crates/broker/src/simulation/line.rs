//! The server's socket, as the system would show it: bytes that have arrived, room for bytes to go, and news that come
//! once, as from epoll.

use mio::event::Source;
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The server's end.
pub(crate) struct Line(Arc<Mutex<Socket>>);

/// The same socket, for whoever carries its bytes.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<Socket>>);

/// What is new since it was asked last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct News {
    pub(crate) readable: bool,
    pub(crate) ended: bool,
    pub(crate) writable: bool,
}

#[derive(Debug)]
pub(super) struct Socket {
    /// What the server can read.
    pub(super) arrived: VecDeque<u8>,
    /// The peer has closed; it is known behind what has arrived.
    ended: bool,
    /// The link is broken; it is known at once.
    broken: bool,
    /// What the server has written since it was looked.
    pub(super) written: Vec<u8>,
    /// How many bytes it may still write.
    pub(super) room: usize,
    /// The server says no more.
    pub(super) is_shut: bool,
    interests: Option<Interest>,
    news: News,
}

impl Wire {
    pub(super) fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new(Socket {
            arrived: VecDeque::new(),
            ended: false,
            broken: false,
            written: Vec::new(),
            room,
            is_shut: false,
            interests: None,
            news: News::default(),
        })))
    }

    pub(super) fn line(&self) -> Line {
        Line(Arc::clone(&self.0))
    }

    pub(super) fn socket(&self) -> MutexGuard<'_, Socket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn arrive(&self, bytes: &[u8]) {
        let mut socket = self.socket();
        socket.arrived.extend(bytes);
        socket.tell_readable();
    }

    /// The server learns that its peer is gone, with or without an error.
    pub(super) fn end(&self, is_broken: bool) {
        let mut socket = self.socket();
        socket.ended = true;
        socket.broken |= is_broken;
        socket.tell_readable();
    }

    pub(super) fn make_room(&self, bytes: usize) {
        let mut socket = self.socket();
        let was_full = socket.room == 0;
        socket.room += bytes;
        if was_full && bytes > 0 {
            socket.tell_writable();
        }
    }
}

impl Socket {
    fn tell_readable(&mut self) {
        if self.interests.is_some_and(Interest::is_readable) {
            self.news.readable = true;
            self.news.ended |= self.ended;
        }
    }

    fn tell_writable(&mut self) {
        self.news.writable |= self.interests.is_some_and(Interest::is_writable);
    }

    fn watch(&mut self, interests: Interest) {
        self.interests = Some(interests);
        if !self.arrived.is_empty() || self.ended {
            self.tell_readable();
        }
        if self.room > 0 {
            self.tell_writable();
        }
    }
}

impl Line {
    pub(crate) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.socket().news)
    }

    pub(crate) fn has_news(&self) -> bool {
        let News { readable, ended, writable } = self.socket().news;
        readable || ended || writable
    }

    #[expect(clippy::unnecessary_wraps, reason = "as a socket does")]
    pub(crate) fn shut_down(&mut self) -> io::Result<()> {
        self.socket().is_shut = true;
        Ok(())
    }

    fn socket(&self) -> MutexGuard<'_, Socket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.socket().is_shut = true;
    }
}

impl io::Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.socket();
        if socket.broken {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if socket.arrived.is_empty() {
            return if socket.ended { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        socket.arrived.read(buffer)
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = self.socket();
        if socket.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(socket.room);
        if count == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        socket.room -= count;
        socket.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Line {
    fn register(&mut self, _: &Registry, _: Token, interests: Interest) -> io::Result<()> {
        self.socket().watch(interests);
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, interests: Interest) -> io::Result<()> {
        self.socket().watch(interests);
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        self.socket().interests = None;
        Ok(())
    }
}
