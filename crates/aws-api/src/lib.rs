//! The AWS HTTP APIs: SigV4, routes, errors, handlers.
