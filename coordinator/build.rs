//! Builds in what is not Rust: the migrations, which `sqlx::migrate!` embeds without cargo seeing it, and the files of the dashboard,
//! each of them plain and compressed in two ways, under a name that changes with any of them.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// Where in the page the address of its files belongs.
const PLACE: &str = "{{assets}}";
/// Bytes of the hash in that address.
const NAME_BYTES: usize = 8;
/// Of brotli: bytes taken at a time, the highest quality, and the logarithm of the largest window that browsers read.
const BUFFER: usize = 1 << 16;
const BEST_QUALITY: u32 = 11;
const LARGEST_WINDOW: u32 = 24;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../migrations/postgres");
    println!("cargo:rerun-if-changed=../migrations/sqlite");
    let web = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../dashboard/web");
    embed(&web, Path::new(&std::env::var("OUT_DIR")?))
}

/// Writes `assets.rs`: the table of all files of a folder.
fn embed(web: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut paths = Vec::new();
    walk(web, &mut paths)?;
    paths.sort();
    let mut files = Vec::new();
    let mut all = Sha256::new();
    for path in &paths {
        let name = path
            .strip_prefix(web)?
            .to_str()
            .ok_or("a file's name is not UTF-8")?
            .to_owned();
        let content = fs::read(path)?;
        all.update(name.as_bytes());
        all.update(Sha256::digest(&content));
        files.push((name, content));
    }
    let version = hex(&all.finalize()[..NAME_BYTES]);
    let mut table = format!("/// Changes with any of the files.\nconst VERSION: &str = {version:?};\n\n");
    table += "/// All files, by path.\nconst FILES: &[File] = &[\n";
    for (name, mut content) in files {
        if name == "index.html" {
            let page = String::from_utf8(content)?.replace(PLACE, &format!("/assets/{version}"));
            content = page.into_bytes();
        }
        let digest = hex(&Sha256::digest(&content)[..NAME_BYTES]);
        compress(&content, &out.join(&digest))?;
        let kind =
            kind(&name).ok_or_else(|| format!("dashboard/web/{name}: no content type is known for it"))?;
        writeln!(
            table,
            "    File {{ path: {name:?}, kind: {kind:?}, etag: \"\\\"{digest}\\\"\", plain: include_bytes!(\"{digest}.plain\"), \
             gzip: include_bytes!(\"{digest}.gz\"), brotli: include_bytes!(\"{digest}.br\") }},",
        )?;
    }
    table += "];\n";
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

/// Writes a file plain and compressed, unless an earlier build did: the chart library takes a while.
fn compress(content: &[u8], base: &Path) -> Result<(), Box<dyn Error>> {
    let brotli = base.with_extension("br");
    if brotli.exists() {
        return Ok(());
    }
    fs::write(base.with_extension("plain"), content)?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(content)?;
    fs::write(base.with_extension("gz"), gzip.finish()?)?;
    let mut writer = brotli::CompressorWriter::new(Vec::new(), BUFFER, BEST_QUALITY, LARGEST_WINDOW);
    writer.write_all(content)?;
    // Under another name until it is whole, since what is there counts as done.
    let unfinished = base.with_extension("unfinished");
    fs::write(&unfinished, writer.into_inner())?;
    fs::rename(&unfinished, &brotli)?;
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}

fn kind(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.').unwrap_or(("", ""));
    Some(match ending {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        // Licences.
        "" | "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
