//! AWS IoT SQL: parse, check, evaluate.
