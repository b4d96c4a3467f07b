//! What the Cargo.toml files may say: which crate may see which.

use crate::tree::File;

/// For each crate: the crates of this workspace that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("server/core", &["vetrina-protocol"]),
    ("server/media", &[]),
    // The backends are for the tests of both.
    (
        "server/store",
        &["vetrina-protocol", "vetrina-core", "vetrina-backends"],
    ),
    ("server/store/backends", &[]),
    (
        "server",
        &[
            "vetrina-protocol",
            "vetrina-core",
            "vetrina-media",
            "vetrina-store",
            "vetrina-backends",
        ],
    ),
    ("load-tests", &["vetrina-protocol"]),
    ("deploy/xtask", &[]),
    ("protocol/fuzz", &["vetrina-protocol"]),
];

/// Crates that may use only the named outside crates: the pure one, and the one that must compile
/// in seconds.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("server/core", &["thiserror", "proptest"]),
    ("deploy/xtask", &[]),
];

/// The crates see each other only along [`ARROWS`].
pub(crate) fn arrows(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (folder, file) in members(files) {
        let Some((_, seen)) = ARROWS.iter().find(|(known, _)| *known == folder) else {
            complaints.push(format!(
                "{}: a new crate needs its place in ARROWS",
                file.path
            ));
            continue;
        };
        let outside = OUTSIDE
            .iter()
            .find(|(known, _)| *known == folder)
            .map(|(_, seen)| seen);
        for (line, name, _) in dependencies(&file.text) {
            let ours = name.starts_with("vetrina");
            let allowed = if ours {
                seen.contains(&name)
            } else {
                outside.is_none_or(|outside| outside.contains(&name))
            };
            if !allowed {
                complaints.push(format!("{}:{line}: {folder} may not see {name}", file.path));
            }
        }
    }
    complaints
}

/// Versions stand in the workspace's Cargo.toml alone, and every crate takes its lints from there.
pub(crate) fn written_once(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    // A workspace of its own has its own versions: the fuzz targets, built by another tool.
    let members = members(files).filter(|(_, file)| !file.text.contains("\n[workspace]\n"));
    for (_, file) in members {
        for (line, name, value) in dependencies(&file.text) {
            if !value.contains("workspace = true") && value != "true" {
                let text = format!("{}:{line}: {name} belongs in the root's list", file.path);
                complaints.push(text);
            }
        }
        if !file.text.contains("[lints]\nworkspace = true") {
            complaints.push(format!(
                "{}: [lints] workspace = true is missing",
                file.path
            ));
        }
    }
    complaints
}

fn members(files: &[File]) -> impl Iterator<Item = (&str, &File)> {
    files
        .iter()
        .filter_map(|file| Some((file.path.strip_suffix("/Cargo.toml")?, file)))
}

/// Line, name and value of each dependency, of whatever sort.
fn dependencies(manifest: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']').ends_with("dependencies");
        } else if let Some((key, value)) = line.split_once('=')
            && inside
            && !line.starts_with('#')
        {
            let key = key.trim();
            let name = key.split('.').next().unwrap_or(key);
            found.push((index + 1, name, value.trim()));
        }
    }
    found
}
