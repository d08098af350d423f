//! What the seeds have found, in a few steps each.

use super::client::Stands;
use super::world::World;
use std::time::Duration;

/// A client of MQTT 3.1.1 with a persistent session.
const CLIENT: usize = 0;

fn with_a_session() -> World {
    let mut world = World::new(1);
    world.is_calm = true;
    world.connect_as(CLIENT, false);
    for _ in 0..3 {
        world.wait(Duration::from_millis(100));
        world.carry();
        world.settle();
    }
    assert!(world.clients[CLIENT].session == Stands::Yes);
    world.hang_up(CLIENT);
    world.settle();
    world
}

fn comes_back_after_a_power_cut(mut world: World) {
    world.end_by(2);
    world.connect_as(CLIENT, false);
    for _ in 0..3 {
        world.wait(Duration::from_millis(100));
        world.carry();
        world.settle();
    }
    // Otherwise it got in: what the CONNACK says was checked when the server wrote it.
    assert!(world.clients[CLIENT].session == Stands::Yes);
}

/// [MQTT311 3.1.2-6] The first of two CONNECTs ends the session, and the journal does not have that yet when the second
/// one comes, which finds no session any more.
#[test]
fn a_session_stays_ended_when_its_client_comes_twice() {
    let mut world = with_a_session();
    world.connect_as(CLIENT, true);
    world.turn_all();
    world.leave(CLIENT, None);
    world.connect_as(CLIENT, true);
    world.turn_all();
    comes_back_after_a_power_cut(world);
}

/// The same with a session whose time is over.
#[test]
fn a_session_that_has_expired_stays_ended() {
    let mut world = with_a_session();
    world.wait(2 * super::world::EXPIRY);
    world.turn_all();
    world.connect_as(CLIENT, true);
    world.turn_all();
    comes_back_after_a_power_cut(world);
}
