//! Generated from botocore: operations, places and constraints as const data, and one validator.
