//! Folders of the project that the interpreter's environment puts on the path: `.pth` files and the finders of editable installs.

use std::fs;
use std::path::{Path, PathBuf};

use dx_py_core::RelPath;

/// The `site-packages` folders below an environment's prefix.
pub fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for lib in ["lib", "lib64"] {
        for entry in fs::read_dir(prefix.join(lib))
            .into_iter()
            .flatten()
            .flatten()
        {
            let folder = entry.path().join("site-packages");
            if entry.file_name().to_string_lossy().starts_with("python3") && folder.is_dir() {
                found.push(folder);
            }
        }
    }
    found.sort();
    found.dedup_by_key(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone()));
    found
}

/// The folders below `root` that these `site-packages` make importable, in order.
pub fn project_roots(sites: &[PathBuf], root: &Path) -> Vec<RelPath> {
    let mut roots = Vec::new();
    for site in sites {
        let mut names: Vec<String> = fs::read_dir(site)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".pth") || is_finder(name))
            .collect();
        names.sort();
        for name in names {
            let Ok(text) = fs::read_to_string(site.join(&name)) else {
                continue;
            };
            if name.ends_with(".pth") {
                let lines = text.lines().map(str::trim);
                let folders = lines.filter(|line| {
                    !line.is_empty() && !line.starts_with('#') && !line.starts_with("import ")
                });
                roots.extend(folders.filter_map(|line| inside(root, &site.join(line))));
            } else {
                roots.extend(
                    mapped(&text)
                        .iter()
                        .filter_map(|target| inside(root, target.parent()?)),
                );
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    roots.retain(|path| seen.insert(path.clone()));
    roots
}

/// Whether it is the name of the module by which setuptools' editable installs find their packages.
fn is_finder(name: &str) -> bool {
    name.starts_with("__editable__") && name.ends_with("_finder.py")
}

fn inside(root: &Path, path: &Path) -> Option<RelPath> {
    RelPath::new(
        root,
        &path.canonicalize().unwrap_or_else(|_| path.to_path_buf()),
    )
}

/// The targets in a line such as `MAPPING: dict[str, str] = {'pkg': '/project/src/pkg'}`, as setuptools writes it.
fn mapped(text: &str) -> Vec<PathBuf> {
    let line = text.lines().find(|line| line.starts_with("MAPPING"));
    let Some((_, dict)) = line.and_then(|line| line.split_once('{')) else {
        return Vec::new();
    };
    let quoted: Vec<&str> = dict.split(['\'', '"']).skip(1).step_by(2).collect();
    quoted
        .chunks(2)
        .filter_map(|pair| pair.get(1))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pth_files_and_editable_finders_name_folders_of_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let site = root.join("venv/lib/python3.12/site-packages");
        for folder in [&site, &root.join("src/pkg"), &root.join("lib/other")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(
            site.join("a.pth"),
            format!(
                "# x\nimport os\n{}\n/elsewhere\n",
                root.join("src").display()
            ),
        )
        .unwrap();
        let mapping = format!(
            "MAPPING: dict[str, str] = {{'other': '{}'}}\n",
            root.join("lib/other").display()
        );
        fs::write(site.join("__editable___other_1_finder.py"), mapping).unwrap();
        let sites = site_packages(&root.join("venv"));
        assert_eq!(sites, [site]);
        let roots: Vec<String> = project_roots(&sites, &root)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(roots, ["lib", "src"]);
    }
}
