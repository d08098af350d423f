//! What the device decides: connect, back off, sample, publish; no_std, no alloc.
