//! Carries MQTT between a WebSocket and the broker's pipe, in both directions, until either ends.

use std::future::pending;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use broker::{Ended, Line};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::frame::{self, HEADER_BYTES_MAX, Unframer, Violation};

/// Bytes that are taken at once, from the client and for it, at first: most devices never say or hear more.
const BUFFER_BYTES: usize = 1024;

/// What both buffers grow to, doubling whenever they were full: also the payload of our largest frame.
///
/// Two of these are what a busy WebSocket costs beside TLS and the kernel's buffers, of which the pipe between us and the
/// broker has 208 KiB in each direction by default.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// How long a connection that is over still waits for the client: to take what the broker said last, and to say
/// good-bye as well.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// How often somebody who waits for a client that takes nothing looks whether the broker has given it up. The broker
/// itself decides, by keep-alive; this is how long it may take until memory and descriptors are free.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How it ended.
#[derive(Debug)]
enum End {
    /// The client sent a Close frame.
    Client,
    /// The connection is gone.
    Lost,
    Violation(Violation),
    Expired,
    /// The broker has closed its side.
    Broker,
}

/// Carries until the end, and closes both sides. `early` is what came behind the request; `lasts`: for how long at most.
pub(super) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    early: Bytes,
    pipe: UnixStream,
    line: &Line,
    lasts: Option<Duration>,
) {
    let (mut incoming, outgoing) = tokio::io::split(stream);
    let (mut from_broker, mut to_broker) = pipe.into_split();
    let mut writer = Writer::new(outgoing);
    let pings = Pings::default();
    let expiry = async {
        match lasts {
            Some(lasts) => sleep(lasts).await,
            None => pending().await,
        }
    };
    let end = tokio::select! {
        end = inbound(&mut incoming, early, &mut to_broker, &pings) => end,
        end = outbound(&mut from_broker, &mut writer, &pings, line) => end,
        () = expiry => End::Expired,
    };
    // Before the pipe ends, so that the broker finds the reason with the end.
    match &end {
        End::Client => line.end(Ended::ByClient),
        End::Violation(violation) => line.end(Ended::Violation(violation.to_string())),
        End::Expired => line.end(Ended::Expired),
        End::Lost | End::Broker => {}
    }
    drop(to_broker);
    let code = match end {
        End::Lost => return,
        End::Violation(violation) => violation.close_code(),
        End::Client | End::Expired | End::Broker => 1000,
    };
    if matches!(end, End::Violation(_) | End::Expired) {
        // A client of MQTT 5 is told in its own words first.
        let _ = timeout(FAREWELL_TIMEOUT, outbound(&mut from_broker, &mut writer, &pings, line)).await;
    }
    drop(from_broker);
    let _ = timeout(FAREWELL_TIMEOUT, writer.say(&frame::close(code), line)).await;
    if !matches!(end, End::Client) {
        let _ = timeout(FAREWELL_TIMEOUT, discard(&mut incoming)).await;
    }
}

/// The last Ping that was not answered yet.
#[derive(Debug, Default)]
struct Pings {
    last: Mutex<Option<Vec<u8>>>,
    came: Notify,
}

impl Pings {
    fn put(&self, payload: Vec<u8>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
        self.came.notify_one();
    }

    async fn next(&self) -> Vec<u8> {
        loop {
            if let Some(payload) = self.last.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return payload;
            }
            self.came.notified().await;
        }
    }
}

async fn inbound<S: AsyncRead + AsyncWrite + Unpin>(
    incoming: &mut ReadHalf<&mut S>,
    early: Bytes,
    to_broker: &mut OwnedWriteHalf,
    pings: &Pings,
) -> End {
    let mut unframer = Unframer::default();
    let mut early = early.to_vec();
    if let Some(end) = take(&mut unframer, &mut early, to_broker, pings).await {
        return end;
    }
    drop(early);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match incoming.read(&mut buffer).await {
            Ok(0) | Err(_) => return End::Lost,
            Ok(count) => count,
        };
        if let Some(end) = take(&mut unframer, &mut buffer[..count], to_broker, pings).await {
            return end;
        }
        if count == buffer.len() {
            buffer.resize(grown(count), 0);
        }
    }
}

/// The next size of a buffer that was full.
fn grown(bytes: usize) -> usize {
    (bytes * 2).min(BUFFER_BYTES_MAX)
}

/// Hands on what bytes of the client hold. Waits until the broker has room for it: meanwhile nothing more is read.
async fn take(
    unframer: &mut Unframer,
    bytes: &mut [u8],
    to_broker: &mut OwnedWriteHalf,
    pings: &Pings,
) -> Option<End> {
    let unframed = match unframer.unframe(bytes) {
        Ok(unframed) => unframed,
        Err(violation) => return Some(End::Violation(violation)),
    };
    if to_broker.write_all(&bytes[..unframed.data]).await.is_err() {
        // The broker has hung up; what it said last is on its way in the other direction, which will find the end.
        return pending().await;
    }
    if let Some(payload) = unframed.ping {
        pings.put(payload);
    }
    unframed.close.then_some(End::Client)
}

async fn outbound<S: AsyncRead + AsyncWrite + Unpin>(
    from_broker: &mut OwnedReadHalf,
    writer: &mut Writer<'_, S>,
    pings: &Pings,
    line: &Line,
) -> End {
    loop {
        if writer.flush(line).await.is_err() {
            return End::Lost;
        }
        tokio::select! {
            payload = pings.next() => writer.put(&frame::pong(&payload)),
            read = from_broker.read(writer.room()) => match read {
                Ok(count @ 1..) => writer.put_binary(count),
                Ok(0) | Err(_) => return End::Broker,
            },
        }
    }
}

async fn discard<S: AsyncRead + AsyncWrite + Unpin>(incoming: &mut ReadHalf<&mut S>) {
    let mut buffer = [0; 1024];
    while let Ok(1..) = incoming.read(&mut buffer).await {}
}

/// Writes whole frames. Whoever stops waiting for it may go on later: what is half written stays in here.
struct Writer<'s, S> {
    socket: WriteHalf<&'s mut S>,
    /// A header's room, then a payload.
    buffer: Vec<u8>,
    /// What of the buffer is still to be written.
    start: usize,
    end: usize,
}

impl<'s, S: AsyncRead + AsyncWrite + Unpin> Writer<'s, S> {
    fn new(socket: WriteHalf<&'s mut S>) -> Self {
        Self { socket, buffer: vec![0; HEADER_BYTES_MAX + BUFFER_BYTES], start: 0, end: 0 }
    }

    /// Where the next payload goes. Everything before has been written.
    fn room(&mut self) -> &mut [u8] {
        if self.end == self.buffer.len() {
            self.buffer.resize(HEADER_BYTES_MAX + grown(self.end - HEADER_BYTES_MAX), 0);
        }
        &mut self.buffer[HEADER_BYTES_MAX..]
    }

    /// So many bytes in the room are a payload now.
    fn put_binary(&mut self, count: usize) {
        let length = u16::try_from(count).expect("the room is smaller");
        let mut header = [0; HEADER_BYTES_MAX];
        self.start = frame::binary_header(&mut header, length);
        self.end = HEADER_BYTES_MAX + count;
        self.buffer[..HEADER_BYTES_MAX].copy_from_slice(&header);
    }

    /// A control frame is next.
    fn put(&mut self, frame: &[u8]) {
        (self.start, self.end) = (0, frame.len());
        self.buffer[..frame.len()].copy_from_slice(frame);
    }

    /// What is half written, and then this.
    async fn say(&mut self, frame: &[u8], line: &Line) -> io::Result<()> {
        self.flush(line).await?;
        self.put(frame);
        self.flush(line).await?;
        self.socket.shutdown().await
    }

    /// Writes everything.
    async fn flush(&mut self, line: &Line) -> io::Result<()> {
        let mut is_flushed = false;
        while self.start < self.end || !is_flushed {
            let step = async {
                if self.start < self.end {
                    return self.socket.write(&self.buffer[self.start..self.end]).await.map(Some);
                }
                self.socket.flush().await.map(|()| None)
            };
            match timeout(LOOK_EVERY, step).await {
                Ok(Ok(Some(0))) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(Ok(Some(count))) => self.start += count,
                Ok(Ok(None)) => is_flushed = true,
                Ok(Err(error)) => return Err(error),
                Err(_) if line.is_hung_up() => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        }
        Ok(())
    }
}
