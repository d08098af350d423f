//! One client's MQTT state machine: bytes' meaning in, effects out.
