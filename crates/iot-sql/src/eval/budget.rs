//! How much one evaluation may do.

use std::cell::Cell;

use crate::EvalError;
use crate::limits::{BYTES_PER_STEP, STEPS_MAX};

/// Steps taken so far.
#[derive(Default)]
pub(crate) struct Budget(Cell<u64>);

impl Budget {
    pub(crate) fn charge(&self, steps: u64) -> Result<(), EvalError> {
        self.0.set(self.0.get().saturating_add(steps));
        if self.0.get() > STEPS_MAX { Err(EvalError::TooMuchWork { max: STEPS_MAX }) } else { Ok(()) }
    }

    pub(crate) fn charge_bytes(&self, bytes: u64) -> Result<(), EvalError> {
        self.charge(bytes / BYTES_PER_STEP)
    }
}
