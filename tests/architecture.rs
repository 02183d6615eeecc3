//! The shape of the source: who may import whom, and what may stand nowhere.
//!
//! Reads the text of `src/`. It is no compiler: a path that a macro puts together is not seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the leaves to the root, and what each may use of the crate beside itself.
///
/// Down this list runs one direction only: that is tested too, so that no
/// cycle can be allowed by mistake.
const MODULES: &[(&str, &[&str])] = &[
    // Leaves: they know no A2A.
    ("telemetry", &[]),
    ("wire", &[]),
    ("net", &["wire"]),
    // Pure: the protocol, and the rules on tasks.
    ("a2a", &[]),
    ("task", &["a2a"]),
    // The log and its readers.
    ("store", &["a2a", "task"]),
    ("hub", &["a2a", "task", "store"]),
    // Talking to a worker; a source turns that into events, a sink turns events into what a requester asked for.
    ("worker", &["wire", "net", "a2a"]),
    (
        "source",
        &["telemetry", "a2a", "task", "store", "hub", "worker"],
    ),
    (
        "sink",
        &["telemetry", "wire", "net", "a2a", "task", "store", "hub"],
    ),
    // The data path and the operators' view.
    (
        "proxy",
        &[
            "telemetry",
            "wire",
            "net",
            "a2a",
            "task",
            "store",
            "worker",
            "source",
            "sink",
        ],
    ),
    ("admin", &["telemetry", "a2a", "task", "store", "hub"]),
    // Each module below owns its typed policy; configuration fills them in.
    (
        "config",
        &[
            "telemetry",
            "net",
            "a2a",
            "store",
            "source",
            "sink",
            "proxy",
        ],
    ),
    // The command line knows only what can be configured; what the commands do is the root's business.
    ("cli", &["telemetry", "config"]),
    (
        "app",
        &[
            "telemetry",
            "wire",
            "net",
            "store",
            "hub",
            "worker",
            "source",
            "sink",
            "proxy",
            "admin",
            "config",
        ],
    ),
    // A show of the whole, with a worker and requesters of its own.
    (
        "demo",
        &[
            "telemetry",
            "wire",
            "net",
            "a2a",
            "sink",
            "config",
            "cli",
            "app",
        ],
    ),
    (
        "commands",
        &["telemetry", "admin", "config", "cli", "app", "demo"],
    ),
];

/// Other people's crates that stay in some modules: the crate, where it may be used, and why.
const CRATES: &[(&str, &[&str], &str)] = &[
    (
        "hyper",
        &[
            "wire", "net", "worker", "source", "sink", "proxy", "admin", "app", "demo",
        ],
        "the protocol, the rules, the log and the configuration know no HTTP implementation",
    ),
    (
        "hyper_util",
        &["wire", "net", "worker", "proxy", "admin", "app", "demo"],
        "connections are made in one place",
    ),
    (
        "reqwest",
        &["net", "sink", "app", "demo"],
        "only deliveries and other calls of our own",
    ),
    ("rusqlite", &["store"], "SQL never leaves the store"),
    ("clap", &["cli"], "the command line is read in one place"),
    ("toml", &["config"], "files are read in one place"),
    (
        "tokio",
        &[
            "telemetry",
            "wire",
            "net",
            "store",
            "hub",
            "worker",
            "source",
            "sink",
            "proxy",
            "admin",
            "config",
            "app",
            "demo",
            "commands",
        ],
        "a2a and task are pure: no runtime",
    ),
];

/// What no source file says, and why. Each is put together here so that this file may say it.
fn banned() -> Vec<(String, &'static str)> {
    vec![
        (["TO", "DO"].concat(), "unfinished work does not land"),
        (["FIX", "ME"].concat(), "unfinished work does not land"),
        (["XX", "X"].concat(), "unfinished work does not land"),
        (
            ["std::time::", "Instant"].concat(),
            "a test owns the clock only of tokio::time::Instant",
        ),
        (
            ["#[", "ignore]"].concat(),
            "a test that does not run is no test: say what runs it instead",
        ),
    ]
}

/// Longest source file. What is longer holds two things.
const MAX_LINES: usize = 600;

struct File {
    path: PathBuf,
    module: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every file of `src/` but the two roots, which bind everything together.
fn sources() -> Vec<File> {
    let src = root().join("src");
    let mut paths = Vec::new();
    rust_files(&src, &mut paths);
    let files: Vec<File> = paths
        .into_iter()
        .filter_map(|path| {
            let relative = path.strip_prefix(&src).unwrap().to_owned();
            let first = relative.iter().next().unwrap().to_string_lossy();
            let module = first.trim_end_matches(".rs").to_owned();
            // The program that builds the descriptors is no part of the crate.
            if matches!(module.as_str(), "lib" | "main" | "build") {
                return None;
            }
            let text = fs::read_to_string(&path).unwrap();
            Some(File {
                path: relative,
                module,
                text,
            })
        })
        .collect();
    assert!(files.len() > 100, "only {} files were found", files.len());
    files
}

/// The code of each line, from 1, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim_start();
        (!line.starts_with("//")).then_some((index + 1, line.split(" // ").next().unwrap_or(line)))
    })
}

/// The modules that a line names by `crate::`.
fn modules_in(line: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices("crate::")
        // `$crate::` is a macro's, and `my_crate::` another crate's.
        .filter(|(at, _)| !line[..*at].ends_with(|c| is_name(c) || c == '$'))
        .map(|(at, prefix)| {
            let rest = &line[at + prefix.len()..];
            rest.split(|c| !is_name(c)).next().unwrap_or(rest)
        })
        .collect()
}

fn allowed(module: &str) -> Option<&'static [&'static str]> {
    MODULES
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, uses)| *uses)
}

#[test]
fn each_module_uses_only_modules_above_it() {
    let mut above = BTreeSet::new();
    for (module, uses) in MODULES {
        for used in *uses {
            assert!(
                above.contains(used),
                "{module} may not use {used}: it does not stand above it"
            );
        }
        assert!(above.insert(*module), "{module} stands twice");
    }
    let (source, sink) = (allowed("source").unwrap(), allowed("sink").unwrap());
    assert!(
        !source.contains(&"sink") && !sink.contains(&"source"),
        "sources and sinks know nothing of each other"
    );
}

#[test]
fn imports_follow_the_order() {
    let files = sources();
    let mut faults = Vec::new();
    let mut edges = BTreeSet::new();
    for file in &files {
        let Some(uses) = allowed(&file.module) else {
            faults.push(format!(
                "{}: where does module {} stand? Say so in MODULES",
                file.path.display(),
                file.module
            ));
            continue;
        };
        for (number, line) in code(&file.text) {
            for used in modules_in(line) {
                if used.is_empty() {
                    let place = format!("{}:{number}", file.path.display());
                    faults.push(format!(
                        "{place}: one `use` for each module, so that this test can read it"
                    ));
                }
                if used == file.module || allowed(used).is_none() {
                    continue;
                }
                edges.insert((file.module.clone(), used.to_owned()));
                if !uses.contains(&used) {
                    faults.push(format!(
                        "{}:{number}: {} must not use {used}",
                        file.path.display(),
                        file.module
                    ));
                }
            }
        }
    }
    // A permission that nobody needs is a hole for the next one.
    for (module, uses) in MODULES {
        for used in *uses {
            if !edges.contains(&((*module).to_owned(), (*used).to_owned())) {
                faults.push(format!(
                    "{module} may use {used} but does not: take it out of MODULES"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_of_the_crate_has_its_place() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for (_, line) in code(&text) {
        let declared = line
            .strip_prefix("pub mod ")
            .or_else(|| line.strip_prefix("mod "));
        if let Some(module) = declared.and_then(|rest| rest.strip_suffix(';')) {
            assert!(
                allowed(module).is_some(),
                "where does module {module} stand? Say so in MODULES"
            );
        }
    }
}

#[test]
fn crates_stay_where_they_belong() {
    let mut faults = Vec::new();
    for file in sources() {
        // A test may play the other side.
        if file.path.to_string_lossy().contains("tests") {
            continue;
        }
        for (number, line) in code(&file.text) {
            for (name, modules, why) in CRATES {
                let path = format!("{name}::");
                let used = line.match_indices(&path).any(|(at, _)| {
                    !line[..at]
                        .ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':')
                });
                if used && !modules.contains(&file.module.as_str()) {
                    faults.push(format!(
                        "{}:{number}: {name} in {}: {why}",
                        file.path.display(),
                        file.module
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_source_file_says_what_is_banned() {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        let folder = root().join(folder);
        if folder.is_dir() {
            rust_files(&folder, &mut paths);
        }
    }
    let mut faults = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for (word, why) in banned() {
            for (index, line) in text.lines().enumerate() {
                if line.contains(&word) {
                    let path = path.strip_prefix(root()).unwrap().display();
                    faults.push(format!("{path}:{}: {word}: {why}", index + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn source_files_are_short_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    for file in sources() {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            faults.push(format!(
                "{}: {lines} lines; more than {MAX_LINES} hold two things",
                file.path.display()
            ));
        }
        if !file.text.starts_with("//!") {
            faults.push(format!(
                "{}: does not open with what it is for",
                file.path.display()
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_what_stands_there() {
    assert_eq!(modules_in("use crate::a2a::{Task, b};"), ["a2a"]);
    assert_eq!(
        modules_in("fn f(a: &crate::net::X, b: crate::hub::Y)"),
        ["net", "hub"]
    );
    assert_eq!(modules_in("use crate::{a2a, task};"), [""]);
    assert!(modules_in("$crate::x!(); my_crate::y()").is_empty());
    let text = "//! crate::a\ncrate::b // crate::c\n    /// crate::d";
    assert_eq!(code(text).collect::<Vec<_>>(), [(2, "crate::b")]);
}
