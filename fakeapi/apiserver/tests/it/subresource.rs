//! subresource.
