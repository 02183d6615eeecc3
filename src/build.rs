//! Compiles the `.proto` files of the gRPC binding into one set of descriptors, which `a2a/dialect/proto.rs` includes: the
//! binary form of a message is found by looking its name up there, so no code is generated.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

const FOLDER: &str = "src/a2a/dialect/proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={FOLDER}");
    println!("cargo:rerun-if-changed=src/build.rs");
    let files = ["v0_3.proto", "v1_0.proto", "status.proto"];
    let descriptors = protox::compile(files, [Path::new(FOLDER)])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(out, descriptors.encode_to_vec())?;
    Ok(())
}
