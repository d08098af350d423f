//! What answers on reserved topics and REST alike: device shadows.
