//! Our certificate authority, and certificates from keys, CSRs and elsewhere.
