//! Batch exports as a service.
