//! One packet through our codec and another.

use super::made::{BUFFER_BYTES, Made};
use differential::Said;
use mqtt_wire::decode;
use proptest::prelude::*;
use std::fmt::Debug;

/// Many cases, and no file with those that failed: the seed is in the message.
pub(crate) fn config() -> ProptestConfig {
    let cases = ProptestConfig::default().cases.max(2_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What we write says to the other codec what it says to us, and what the other writes of it says the same to us.
///
/// `normal` takes away what the other codec does not tell apart.
pub(crate) fn agree<P: Debug, E: Debug>(
    made: &Made,
    read: impl FnOnce(&[u8]) -> Result<P, E>,
    said: impl FnOnce(&P) -> Said,
    write: impl FnOnce(P) -> Vec<u8>,
    normal: impl Fn(Said) -> Said,
) -> Result<(), TestCaseError> {
    let bytes = made.bytes();
    let theirs = match read(&bytes) {
        Ok(theirs) => theirs,
        Err(error) => return Err(TestCaseError::fail(format!("{error:?} of {bytes:02x?}"))),
    };
    let ours = made.with(|packet| normal(Said::ours(&packet)));
    prop_assert_eq!(normal(said(&theirs)), ours);
    let written = write(theirs);
    match decode(&written, made.version, BUFFER_BYTES) {
        Ok(Some((packet, bytes))) => {
            prop_assert_eq!(bytes, written.len());
            prop_assert_eq!(normal(Said::ours(&packet)), made.with(|packet| normal(Said::ours(&packet))));
            Ok(())
        }
        other => Err(TestCaseError::fail(format!("{other:?} of {written:02x?}"))),
    }
}
