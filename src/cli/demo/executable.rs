//! An image that needs no network and no base image: this very program and the libraries it needs.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::image::synthetic::SyntheticImage;

/// The image of version `version`: it greets, and says its version.
pub(super) fn image(version: &str) -> io::Result<SyntheticImage> {
    let program = Path::new("/proc/self/exe");
    let mut image = SyntheticImage::new(0)
        .file("edgepost", fs::read(program)?, 0o755)
        .file("etc/hello-version", version.as_bytes().to_vec(), 0o644)
        .entrypoint(["/edgepost", "hello"]);
    for library in libraries()? {
        image = image.file(&library.display().to_string(), fs::read(&library)?, 0o755);
    }
    Ok(image)
}

/// The shared libraries that this process has loaded, the loader among them, under the names by which
/// they are looked for.
fn libraries() -> io::Result<BTreeSet<PathBuf>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).map(PathBuf::from);
    let is_library = |path: &PathBuf| {
        path.is_absolute()
            && path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
    };
    let mut all: BTreeSet<_> = mapped.filter(is_library).collect();
    // The loader's path is written into the program itself.
    let loaders =
        ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux-armhf.so.3"];
    all.extend(loaders.map(PathBuf::from).into_iter().filter(|path| path.exists()));
    Ok(all)
}
