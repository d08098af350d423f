//! The MQTT broker: listeners, TLS, event loops, router.
