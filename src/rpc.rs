//! What prost and tonic make of `proto/`, for both sides of the socket. No domain types here, so that the command line
//! tool knows the wire and nothing else.

/// The package `clearmld.v1`.
#[expect(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("clearmld.v1");
}

/// The compiled files of the package, for the reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clearmld.v1.bin"));
