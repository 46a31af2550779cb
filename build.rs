//! Compiles proto/ with protox, so that no protoc is needed. The shim is built without the feature `rpc`; then there
//! is nothing to do.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "rpc")]
    rpc::compile()?;
    Ok(())
}

#[cfg(feature = "rpc")]
mod rpc {
    use std::error::Error;
    use std::path::PathBuf;

    const FILES: [&str; 8] = [
        "gpus.proto",
        "host.proto",
        "workers.proto",
        "reload.proto",
        "runs.proto",
        "tasks.proto",
        "diagnosis.proto",
        "explain.proto",
    ];

    #[expect(clippy::disallowed_methods, reason = "a build output; cargo builds it again")]
    pub(super) fn compile() -> Result<(), Box<dyn Error>> {
        println!("cargo:rerun-if-changed=proto");
        let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
        let mut compiler = protox::Compiler::new(["proto"])?;
        // Comments go along: they are what `describe` of a reflection client shows.
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(FILES.map(|name| format!("clearmld/v1/{name}")))?;
        std::fs::write(out.join("clearmld.v1.bin"), compiler.encode_file_descriptor_set())?;
        tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
        Ok(())
    }
}
