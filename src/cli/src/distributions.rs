//! Which installed distribution a file belongs to, from the RECORD files in `site-packages`.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// The distributions installed for an interpreter.
#[derive(Debug, Default)]
pub struct Distributions {
    /// For each folder that holds distributions: the first part of their files' paths → the RECORD.
    sites: Vec<(String, HashMap<String, String>)>,
}

impl Distributions {
    /// Reads the RECORD of every distribution in these folders.
    pub fn read(sites: &[PathBuf]) -> Self {
        let sites = sites
            .iter()
            .map(|site| {
                let mut owners = HashMap::new();
                for entry in fs::read_dir(site).into_iter().flatten().flatten() {
                    let record = entry.path().join("RECORD");
                    let Ok(text) = fs::read_to_string(&record) else {
                        continue;
                    };
                    let record = record.to_string_lossy().into_owned();
                    for line in text.lines() {
                        let path = line.split(',').next().unwrap_or("");
                        let top = path.split('/').next().unwrap_or("");
                        if !top.is_empty() && !matches!(top, ".." | "__pycache__") {
                            owners
                                .entry(top.to_owned())
                                .or_insert_with(|| record.clone());
                        }
                    }
                }
                (format!("{}/", site.to_string_lossy()), owners)
            })
            .collect();
        Self { sites }
    }

    /// The RECORD of the distribution that an installed file belongs to.
    pub fn record_of(&self, file: &str) -> Option<&str> {
        self.sites.iter().find_map(|(site, owners)| {
            let inner = file.strip_prefix(site.as_str())?;
            owners.get(inner.split('/').next()?).map(String::as_str)
        })
    }

    /// Whether some distribution installs a module or package of that name.
    pub fn has_top_level(&self, name: &str) -> bool {
        self.sites.iter().any(|(_, owners)| {
            owners.contains_key(name) || owners.contains_key(&format!("{name}.py"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_the_distribution_that_records_them() {
        let dir = tempfile::tempdir().unwrap();
        let info = dir.path().join("six-1.0.dist-info");
        fs::create_dir(&info).unwrap();
        fs::write(
            info.join("RECORD"),
            "six.py,sha256=x,1\nsix-1.0.dist-info/RECORD,,\n",
        )
        .unwrap();
        let all = Distributions::read(&[dir.path().to_path_buf()]);
        let file = dir.path().join("six.py");
        let record = info.join("RECORD");
        assert_eq!(all.record_of(file.to_str().unwrap()), record.to_str());
        assert!(all.has_top_level("six"));
        assert_eq!(all.record_of("/elsewhere/six.py"), None);
    }
}
