//! Frames between the radio's driver, which may be dropped and made anew, and the stack, which lives forever.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::Poll;

use cyw43::NetDriver;
use embassy_futures::select::{Either3, select3};
use embassy_net::driver::{Driver as _, HardwareAddress, LinkState, RxToken as _, TxToken as _};
use embassy_net_driver_channel::{Device, Runner, RxRunner, State, StateRunner, TxRunner, new};
use static_cell::StaticCell;

/// An Ethernet frame without its checksum [IEEE 802.3].
const FRAME_BYTES: usize = 1_514;
/// Frames that wait in each direction: a burst of the server, and of acknowledgements.
const FRAMES: usize = 4;

/// The stack's network interface.
pub(super) type StackEnd = Device<'static, FRAME_BYTES>;

/// The radio's side of it.
pub(super) struct Bridge {
    runner: Runner<'static, FRAME_BYTES>,
}

/// Both ends. Once.
pub(super) fn build() -> (Bridge, StackEnd) {
    static FRAMES_UNDER_WAY: StaticCell<State<FRAME_BYTES, FRAMES, FRAMES>> = StaticCell::new();
    let (runner, stack_end) = new(FRAMES_UNDER_WAY.init(State::new()), HardwareAddress::Ethernet([0; 6]));
    (Bridge { runner }, stack_end)
}

impl Bridge {
    /// Carries frames and news of the link, for as long as the radio has power.
    pub(super) async fn carry(&mut self, radio: NetDriver<'_>) -> ! {
        let radio = RefCell::new(radio);
        let (state, mut inward_frames, mut outward_frames) = self.runner.borrow_split();
        let carried = select3(
            link(&radio, &state),
            inward(&radio, &mut inward_frames),
            outward(&radio, &mut outward_frames),
        );
        match carried.await {
            Either3::First(never) | Either3::Second(never) | Either3::Third(never) => never,
        }
    }

    /// The radio is gone: so is the link.
    pub(super) fn cut(&mut self) {
        self.runner.set_link_state(LinkState::Down);
    }
}

async fn link(radio: &RefCell<NetDriver<'_>>, state: &StateRunner<'_>) -> ! {
    let mut told = None;
    poll_fn(|context| {
        let mut radio = radio.borrow_mut();
        let link = radio.link_state(context);
        if told != Some(link) {
            told = Some(link);
            state.set_hardware_address(radio.hardware_address());
            state.set_link_state(link);
        }
        Poll::Pending
    })
    .await
}

async fn inward(radio: &RefCell<NetDriver<'_>>, frames: &mut RxRunner<'_, FRAME_BYTES>) -> ! {
    loop {
        let frame = frames.rx_buf().await;
        let length = poll_fn(|context| match radio.borrow_mut().receive(context) {
            Some((received, _)) => Poll::Ready(received.consume(|bytes| {
                let length = bytes.len().min(FRAME_BYTES);
                frame[..length].copy_from_slice(&bytes[..length]);
                length
            })),
            None => Poll::Pending,
        })
        .await;
        frames.rx_done(length);
    }
}

async fn outward(radio: &RefCell<NetDriver<'_>>, frames: &mut TxRunner<'_, FRAME_BYTES>) -> ! {
    loop {
        let frame = frames.tx_buf().await;
        poll_fn(|context| match radio.borrow_mut().transmit(context) {
            Some(sending) => {
                sending.consume(frame.len(), |bytes| bytes.copy_from_slice(frame));
                Poll::Ready(())
            }
            None => Poll::Pending,
        })
        .await;
        frames.tx_done();
    }
}
