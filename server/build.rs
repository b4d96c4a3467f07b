//! Tells cargo to embed the pages again when they were built anew. Builds nothing itself.

fn main() -> std::io::Result<()> {
    // A folder that is missing would count as changed in every build.
    std::fs::create_dir_all("../web-demo/dist")?;
    println!("cargo:rerun-if-changed=../web-demo/dist");
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
