//! Compiles the proto files in pure Rust: no `protoc` is needed.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<PathBuf> = [
        "study_spec",
        "types",
        "study_service",
        "trial_service",
        "worker_service",
        "token_service",
    ]
    .iter()
    .map(|name| PathBuf::from(format!("tunesmith/v1/{name}.proto")))
    .collect();
    let descriptors = protox::compile(&files, ["."])?;
    for file in &files {
        println!("cargo:rerun-if-changed={}", file.display());
    }

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut config = tonic_prost_build::Config::new();
    config
        .compile_well_known_types()
        .extern_path(".google.protobuf", "::pbjson_types");
    tonic_prost_build::configure()
        .build_transport(true)
        .compile_fds_with_config(descriptors.clone(), config)?;

    // ProtoJSON for the HTTP API and the command line's `--output json`.
    let mut json = pbjson_build::Builder::new();
    for file in descriptors.file {
        json.register_file_descriptor(file);
    }
    json.build(&[".tunesmith.v1"])?;
    Ok(())
}
