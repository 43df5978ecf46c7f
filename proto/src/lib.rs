//! Tunesmith's wire protocol: the generated messages and services, and checked conversions between them and the domain types.
//!
//! Domain types never are wire types: whatever comes in passes a conversion that checks it and names the offending field.

pub mod convert;
pub mod json;

/// Generated messages, clients and servers of package `tunesmith.v1`.
#[expect(clippy::all, clippy::allow_attributes, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("tunesmith.v1");
    include!(concat!(env!("OUT_DIR"), "/tunesmith.v1.serde.rs"));
}

/// Encoded descriptors of all services, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Version of the session protocol between worker and coordinator that this build speaks.
pub const SESSION_PROTOCOL: u32 = 1;
