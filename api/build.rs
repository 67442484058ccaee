//! Makes the built dashboard (`web/dist`) part of the program: writes a table of its files, which
//! `src/routes/dashboard.rs` includes. Without a build, the table has one page that says how to make it.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let web = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("web");
    let dist = web.join("dist");
    // The directory must be there: cargo would run this script at each build for a path that is not.
    fs::create_dir_all(&dist)?;
    println!("cargo:rerun-if-changed={}", dist.display());
    println!("cargo:rerun-if-changed={}", web.join("placeholder.html").display());
    let mut files = Vec::new();
    if dist.join("index.html").exists() {
        find(&dist, &mut files)?;
    } else {
        files.push(web.join("placeholder.html"));
    }
    files.sort();
    let mut table = "const FILES: &[File] = &[\n".to_owned();
    for file in files.iter().filter(|file| !is_compressed(file)) {
        let name = match file.strip_prefix(&dist) {
            Ok(name) => name.display().to_string(),
            Err(_) => "index.html".to_owned(),
        };
        let mut hasher = DefaultHasher::new();
        fs::read(file)?.hash(&mut hasher);
        let compressed = |ending: &str| {
            let sibling = PathBuf::from(format!("{}.{ending}", file.display()));
            if sibling.exists() { format!("Some(include_bytes!({sibling:?}))") } else { "None".to_owned() }
        };
        table += &format!(
            "    File {{ name: {name:?}, tag: \"\\\"{:016x}\\\"\", content: include_bytes!({file:?}), brotli: {}, gzip: {} }},\n",
            hasher.finish(),
            compressed("br"),
            compressed("gz")
        );
    }
    table += "];\n";
    fs::write(PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("dashboard.rs"), table)
}

/// Adds the files below a directory, without hidden ones.
fn find(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() { find(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// Whether it is another file of the build, compressed.
fn is_compressed(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "br" || ending == "gz")
}
