//! The Dockerfile, as far as it can be checked without a container engine: that what it copies is there and is enough,
//! and that what it runs is what the program accepts. That the image builds is for the continuous integration to show.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command as Process;

use a2a_sidecar::cli::{Command, parse};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The instructions, each on one line: its name and the rest.
fn instructions() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let joined: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| match line.strip_suffix('\\') {
            Some(open) => format!("{} ", open.trim()),
            None => format!("{}\n", line.trim()),
        })
        .collect();
    joined
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
        .collect()
}

fn all(name: &str) -> Vec<String> {
    let found: Vec<String> = instructions()
        .into_iter()
        .filter(|(instruction, _)| instruction == name)
        .map(|(_, rest)| rest)
        .collect();
    assert!(!found.is_empty(), "the Dockerfile has no {name}");
    found
}

/// What is copied from the checkout: files and folders, each to where it is there.
fn copied() -> Vec<String> {
    let mut copied = Vec::new();
    for rest in all("COPY") {
        if rest.contains("--from=") {
            continue;
        }
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (to, from) = words.split_last().unwrap();
        assert!(*to == "./" || from == [*to], "{rest} moves it elsewhere");
        copied.extend(from.iter().map(|&path| path.to_owned()));
    }
    copied
}

/// The command of the build stage that runs cargo.
fn build() -> String {
    let mut builds = all("RUN");
    builds.retain(|rest| rest.contains("cargo build"));
    assert_eq!(builds.len(), 1, "{builds:?}");
    builds.remove(0)
}

/// The words of the exec form: `["a", "b"]`.
fn exec(text: &str) -> Vec<String> {
    let list = &text[text.find('[').expect("the exec form: there is no shell")..];
    serde_json::from_str(list).unwrap()
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

#[test]
fn what_is_copied_is_there_and_reaches_the_engine() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    for path in copied() {
        assert!(root().join(&path).exists(), "{path} is not there");
        assert!(
            ignored.lines().any(|line| line == format!("!{path}")),
            "{path} is left out by .dockerignore"
        );
    }
}

#[test]
fn what_is_copied_is_a_whole_package() {
    let folder = tempfile::tempdir().unwrap();
    for path in copied() {
        copy(&root().join(&path), &folder.path().join(&path));
    }
    // Loads the workspace and all its targets as the build would. Needs no network: nothing is resolved.
    let output = Process::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--no-deps"])
        .args(["--format-version", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Files that are compiled in lie in a folder that is copied.
    for file in ["config/default.toml", "src/store/sqlite/migrations"] {
        assert!(folder.path().join(file).exists(), "{file} is not copied");
    }
}

#[test]
fn the_build_uses_our_toolchain_and_profile() {
    let builders = all("FROM");
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        builders[0].starts_with(&format!("rust:{version}-")),
        "{builders:?} is not Rust {version}"
    );
    let run = build();
    assert!(run.contains("cargo build --locked --profile dist --bin a2a-sidecar"));
    assert!(run.contains("target/dist/a2a-sidecar /out/bin/a2a-sidecar"));
    let workflow = fs::read_to_string(root().join(".github/workflows/ci.yml")).unwrap();
    assert!(workflow.contains(&format!("toolchain install {version}.")));
    assert!(workflow.contains("bash .ci/run"));
}

/// What the slim image of Rust lacks: a crate whose build runs it, and the Debian package to be installed then.
const NEEDED: [(&str, &str); 5] = [
    ("tikv-jemalloc-sys", "make"),
    ("cmake", "cmake"),
    ("bindgen", "libclang-dev"),
    ("openssl-sys", "libssl-dev"),
    ("link-cplusplus", "g++"),
];

#[test]
fn the_build_has_the_programs_that_the_crates_want() {
    let output = Process::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "a2a-sidecar"])
        .args(["--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: HashSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(crates.contains("ring"), "{tree}");
    let runs = all("RUN");
    let installed: HashSet<&str> = runs
        .iter()
        .filter(|rest| rest.contains("apt-get install"))
        .flat_map(|rest| rest.split_whitespace())
        .collect();
    for (name, package) in NEEDED {
        assert!(
            !crates.contains(name) || installed.contains(package),
            "{name} cannot be built without {package}"
        );
    }
}

#[test]
fn a_cache_never_gives_the_program_of_another_build() {
    let run = build();
    let mounts: Vec<&str> = run
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--mount="))
        .collect();
    assert!(mounts.len() >= 2, "{run}");
    for mount in mounts {
        let options: Vec<&str> = mount.split(',').collect();
        assert!(options.contains(&"type=cache"), "{mount}");
        assert!(options.contains(&"sharing=locked"), "{mount}");
        let named = options.iter().any(|&option| {
            option
                .strip_prefix("id=")
                .is_some_and(|id| id.starts_with("a2a-sidecar-"))
        });
        assert!(named, "{mount} is every Dockerfile's");
    }
    // Everything of ours that cargo compiles is made younger than what lies in the cache.
    let touched = run.find("find src config -type f -exec touch {} +");
    assert!(
        touched.is_some_and(|at| at < run.find("cargo build").unwrap()),
        "{run}"
    );
}

#[test]
fn the_image_runs_as_somebody_with_a_place_for_the_store() {
    let user = all("USER").join(" ");
    let (uid, _) = user.split_once(':').unwrap();
    assert!(
        uid.parse::<u32>().unwrap() > 0,
        "by number, and not root: {user}"
    );
    let volumes = all("VOLUME");
    let environment = all("ENV").join(" ");
    let store = environment
        .split_whitespace()
        .find_map(|word| word.strip_prefix("A2A_SIDECAR_STORE=sqlite:"))
        .expect("the image says where the store is");
    assert!(
        volumes
            .iter()
            .any(|volume| store.starts_with(volume.as_str())),
        "{store} does not outlive the container"
    );
    // Closed to everybody else. A folder keeps its mode only within one that is copied.
    let volume = Path::new(&volumes[0]);
    let (above, name) = (volume.parent().unwrap(), volume.file_name().unwrap());
    let given = format!("--chown={user} /out/lib {}", above.display());
    assert!(
        all("COPY").iter().any(|rest| rest.ends_with(&given)),
        "{user} cannot write to {volumes:?}"
    );
    let closed = format!("chmod 0700 /out/lib/{}", name.display());
    assert!(build().contains(&closed), "{volumes:?} is open");
}

#[test]
fn the_program_accepts_what_the_image_runs() {
    let health = exec(&all("HEALTHCHECK")[0]);
    assert!(matches!(parse(&health), Ok(Command::Healthcheck(_))));
    let entry = exec(&all("ENTRYPOINT")[0]);
    assert_eq!(entry[0], health[0]);
    let program = format!("--from=build /out/bin/a2a-sidecar {}", entry[0]);
    assert!(all("COPY").contains(&program), "{entry:?} is not there");
    assert!(matches!(parse(&entry), Ok(Command::Run(_))));
}

#[test]
fn the_variables_of_the_image_are_a_configuration() {
    let environment = all("ENV").join(" ");
    let variables: Vec<(&str, &str)> = environment
        .split_whitespace()
        .map(|word| word.split_once('=').unwrap())
        .collect();
    // Each is known: the help and the parser share one list of them.
    let help = Process::new(env!("CARGO_BIN_EXE_a2a-sidecar"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for (name, _) in &variables {
        let flag = name
            .strip_prefix("A2A_SIDECAR_")
            .unwrap()
            .to_lowercase()
            .replace('_', "-");
        assert!(help.contains(&format!("--{flag}")), "{name} is no flag's");
    }
    // And `run` takes them: the only thing it misses is the address of a worker that it cannot be told to use.
    let output = Process::new(env!("CARGO_BIN_EXE_a2a-sidecar"))
        .args(["run", "--worker", "no-url"])
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("--worker"), "{said}");
}
