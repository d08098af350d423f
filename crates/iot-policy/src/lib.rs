//! AWS IoT policy documents to decisions that carry their reason.
