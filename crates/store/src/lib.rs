//! The journal that acknowledgements wait for, and the keyed state applied from it.
