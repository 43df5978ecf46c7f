//! The first message of a worker: everything in it is checked before the pool hears of it.

use tonic::{Code, Status};
use tunesmith_common::{WorkerId, WorkerName};
use tunesmith_proto::SESSION_PROTOCOL;
use tunesmith_proto::convert::{ConvertError, parse, worker as worker_convert};
use tunesmith_proto::v1;

use crate::grpc::status::{ApiError, refuse};
use crate::pool::Hello;

/// Attempts that a worker may hold at once: its slots, and what it could not hand over yet.
const MAX_ATTEMPTS: usize = 20_000;
/// Bytes of a version or an instance.
const MAX_TEXT: usize = 128;

/// Checks what a worker says of itself.
pub(super) fn check(hello: &v1::WorkerHello, address: &str) -> Result<Hello, Status> {
    if !(hello.protocol_min..=hello.protocol_max).contains(&SESSION_PROTOCOL) {
        let who = if hello.protocol_max < SESSION_PROTOCOL {
            "worker"
        } else {
            "coordinator"
        };
        let message = format!(
            "the worker speaks session protocol {} to {}, this coordinator {SESSION_PROTOCOL}; upgrade the {who}",
            hello.protocol_min, hello.protocol_max
        );
        return Err(refuse(Code::FailedPrecondition, "PROTOCOL_VERSION", message));
    }
    convert(hello, address).map_err(|error| ApiError::from(error.within("hello")).into())
}

fn convert(hello: &v1::WorkerHello, address: &str) -> Result<Hello, ConvertError> {
    for (field, text) in [("instance", &hello.instance), ("version", &hello.version)] {
        if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
            let message = format!(
                "must be 1 to {MAX_TEXT} bytes without control characters, has {}",
                text.len()
            );
            return Err(ConvertError::new(field, message));
        }
    }
    if i64::try_from(hello.generation).is_err() {
        return Err(ConvertError::new(
            "generation",
            format!("is {}, at most {} is allowed", hello.generation, i64::MAX),
        ));
    }
    if hello.attempts.len() > MAX_ATTEMPTS {
        let message = format!(
            "has {} entries, at most {MAX_ATTEMPTS} are allowed",
            hello.attempts.len()
        );
        return Err(ConvertError::new("attempts", message));
    }
    let attempts = hello.attempts.iter().enumerate();
    Ok(Hello {
        id: parse::<WorkerId>(&hello.worker_uid, "worker_uid")?,
        name: parse::<WorkerName>(&hello.worker, "worker")?,
        instance: hello.instance.clone(),
        generation: hello.generation,
        version: hello.version.clone(),
        address: address.to_owned(),
        resources: worker_convert::resources_from_wire(hello.resources.as_ref(), "resources")?,
        attempts: attempts
            .map(|(index, held)| worker_convert::held_from_wire(held, &format!("attempts[{index}]")))
            .collect::<Result<_, _>>()?,
        leaving: hello.draining,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> v1::WorkerHello {
        v1::WorkerHello {
            worker: "gpu1".to_owned(),
            worker_uid: "018f7a3e-0000-7000-8000-000000000001".to_owned(),
            instance: "a1".to_owned(),
            version: "0.1.0".to_owned(),
            protocol_min: SESSION_PROTOCOL,
            protocol_max: SESSION_PROTOCOL + 3,
            resources: Some(v1::WorkerResources {
                slots: 1,
                cpus: 2.0,
                ..v1::WorkerResources::default()
            }),
            ..v1::WorkerHello::default()
        }
    }

    #[test]
    fn what_a_worker_may_not_be_is_named() {
        assert_eq!(check(&hello(), "10.0.0.1:5").unwrap().name.as_str(), "gpu1");
        type Case = (fn(&mut v1::WorkerHello), Code, &'static str);
        let cases: [Case; 8] = [
            (
                |h| h.protocol_min = 7,
                Code::FailedPrecondition,
                "upgrade the coordinator",
            ),
            (
                |h| (h.protocol_min, h.protocol_max) = (0, 0),
                Code::FailedPrecondition,
                "upgrade the worker",
            ),
            (
                |h| h.worker_uid = "x".to_owned(),
                Code::InvalidArgument,
                "hello.worker_uid",
            ),
            (
                |h| h.worker = "../etc".to_owned(),
                Code::InvalidArgument,
                "hello.worker:",
            ),
            (
                |h| h.version = "a\nb".to_owned(),
                Code::InvalidArgument,
                "hello.version",
            ),
            (
                |h| h.generation = u64::MAX,
                Code::InvalidArgument,
                "hello.generation",
            ),
            (|h| h.resources = None, Code::InvalidArgument, "hello.resources"),
            (
                |h| h.resources.get_or_insert_default().gpus = vec![v1::Gpu::default(); 1_000_000],
                Code::InvalidArgument,
                "hello.resources.gpus: has 1000000 entries",
            ),
        ];
        for (spoil, code, message) in cases {
            let mut hello = hello();
            spoil(&mut hello);
            let status = check(&hello, "10.0.0.1:5").unwrap_err();
            assert_eq!(status.code(), code, "{status}");
            assert!(status.message().contains(message), "{status}");
        }
    }
}
