//! Bytes to MQTT packets and back, topic names and filters; no_std, no alloc.
