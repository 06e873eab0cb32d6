//! The house rules that a machine can check. Each failure names every place that breaks its rule.

mod source;

use std::collections::BTreeSet;
use std::path::Path;

use keyward::config::{self, Environment};
use keyward::twin;
use keyward::vendor::{MAKES, Registry};

use source::Source;
pub(crate) use source::path_of;

/// The text of a file of this repository.
pub(crate) fn read(name: &str) -> String {
    Source::read(name).text
}

/// What may be imported by whom: each by the rows below its own. What shares a row does not know each other.
const LAYERS: [&[&str]; 9] = [
    &["alarm", "clock", "disk", "fields", "secret"],
    &["config", "metrics", "twin"],
    &["upstream"],
    &["vendor"],
    &["keeper"],
    &["gateway"],
    &["server"],
    &["cli", "fuzzing"],
    &["main"],
];

/// The stages of a request in the order in which `gateway.rs` calls them.
const STAGES: [&str; 7] = ["admit", "route", "permit", "recall", "authorise", "forward", "respond"];

/// More than this is more than one thing.
const LONGEST: usize = 400;
/// Cases stand one below the other, and nobody reads them all at once.
const LONGEST_TESTS: usize = 600;

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// The makes that are somebody's product; the names of the others are words of HTTP.
fn products() -> impl Iterator<Item = &'static str> {
    MAKES.iter().filter(|make| make.acts_on_get.is_some()).map(|make| make.name)
}

#[track_caller]
fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}\n", broken.join("\n  "));
}

#[test]
fn imports_point_to_a_lower_layer() {
    let mut broken = Vec::new();
    for source in Source::all("src").iter().filter(|source| !source.is_test()) {
        let from = source.top();
        for path in source.imports() {
            let to = path.first().map(String::as_str).unwrap_or_default();
            if to != from && (layer(to).is_none() || layer(to) >= layer(from)) {
                broken.push(format!("{}: {from} imports {}", source.name, path.join("::")));
            }
        }
    }
    assert_none(&broken, "imports point to a lower layer, and no two of one layer know each other");
}

#[test]
fn only_commands_and_tests_know_the_simulated_devices() {
    let mut broken = Vec::new();
    for source in Source::all("src").iter().filter(|source| !source.is_test()) {
        let knows = source.imports().iter().any(|path| path.first().is_some_and(|top| top == "twin"));
        if knows && !["twin", "cli"].contains(&source.top()) {
            broken.push(source.name.clone());
        }
    }
    assert_none(&broken, "what serves real devices does not lean on simulated ones");
}

#[test]
fn the_map_in_lib_rs_shows_every_module_with_its_layer() {
    let map = Source::read("src/lib.rs");
    let declared: BTreeSet<_> = map.modules().into_iter().collect();
    let layered: BTreeSet<_> =
        LAYERS.concat().into_iter().filter(|module| *module != "main").map(str::to_owned).collect();
    assert_eq!(declared, layered);
}

#[test]
fn a_stage_knows_no_later_one() {
    let place = |stage: &str| STAGES.iter().position(|known| *known == stage);
    let mut broken = Vec::new();
    for source in Source::all("src/gateway") {
        let Some(from) = source.module.get(1).and_then(|stage| place(stage)) else { continue };
        for path in source.imports() {
            let [top, stage, ..] = path.as_slice() else { continue };
            if top == "gateway" && place(stage).is_some_and(|to| to > from) {
                broken.push(format!("{} imports {}", source.name, path.join("::")));
            }
        }
    }
    assert_none(&broken, "a stage never calls the next: gateway.rs does");
}

#[test]
fn no_make_knows_another() {
    let mut broken = Vec::new();
    for source in Source::all("src/vendor").iter().chain(&Source::all("src/twin")) {
        let Some(own) = source.module.get(1).filter(|module| MAKES.iter().any(|make| make.name == **module))
        else {
            continue;
        };
        for path in source.imports() {
            let Some(other) = path.get(1) else { continue };
            if path.first().is_some_and(|top| top == source.top())
                && other != own
                && MAKES.iter().any(|make| make.name == other)
            {
                broken.push(format!("{} imports {}", source.name, path.join("::")));
            }
        }
    }
    assert_none(&broken, "what two makes share has a file of its own");
}

#[test]
fn no_product_is_named_outside_its_vendor_and_its_twin() {
    let mut broken = Vec::new();
    for source in Source::all("src").iter().filter(|source| !source.is_test()) {
        if ["vendor", "twin"].contains(&source.top()) {
            continue;
        }
        // A command's words to a person may show a product as an example; to compare with one is something else.
        let text = if source.top() == "cli" { source.without_texts() } else { source.code() };
        for (at, line) in text.to_ascii_lowercase().lines().enumerate() {
            broken.extend(
                products()
                    .filter(|name| line.contains(name))
                    .map(|name| format!("{}:{}: {name}", source.name, at + 1)),
            );
        }
        broken.extend(
            products()
                .filter(|name| source.code().contains(&format!("\"{name}\"")))
                .map(|name| format!("{}: \"{name}\"", source.name)),
        );
    }
    assert_none(&broken, "mechanism is in the engine and policy in the vendor");
}

#[test]
fn anyhow_is_for_commands() {
    let users = Source::all("src")
        .into_iter()
        .filter(|source| source.top() != "cli" && source.code().contains("anyhow"));
    let broken: Vec<_> = users.map(|source| source.name).collect();
    assert_none(&broken, "in the library an error's variant says what to do");
}

/// Whether a field of this name holds a secret.
fn is_secret(field: &str) -> bool {
    const NAMES: [&str; 8] =
        ["password", "passphrase", "token", "secret", "cookie", "jwt", "session_id", "authorization"];
    NAMES.contains(&field)
        || ["_key", "_token", "_password", "_secret"].iter().any(|end| field.ends_with(end))
}

/// The fields of structs and enums in which a secret would be a plain text.
fn plain_secrets(source: &Source) -> Vec<String> {
    const PLAIN: [&str; 6] = ["String", "str", "Vec<u8>", "Bytes", "PathBuf", "[u8]"];
    let code = source.without_texts();
    let lines = code.lines().map(|line| line.trim().trim_end_matches(','));
    let fields = lines.filter_map(|line| {
        let (name, kind) = line.split_once(": ")?;
        let name = name.rsplit(' ').next()?;
        // A function's parameter or a binding has more on its line; a field has its type and nothing else.
        let is_type = !kind.contains(['=', '(', '.', ';', '{']);
        let is_plain =
            PLAIN.iter().any(|plain| kind.trim_end_matches('>').ends_with(plain.trim_end_matches('>')));
        (is_secret(name) && is_type && is_plain).then(|| format!("{}: {line}", source.name))
    });
    fields.collect()
}

#[test]
fn whoever_holds_a_secret_holds_it_as_one() {
    let found = Source::of(
        "src/x.rs",
        "struct X {\n pub(crate) jwt: Option<String>,\n api_key: &'a str,\n key: String,\n token: Secret,\n}",
    );
    assert_eq!(plain_secrets(&found).len(), 2);
    let sources = Source::all("src");
    // What is simulated is no secret of anybody.
    let real = sources.iter().filter(|source| source.top() != "twin" && !source.is_test());
    let broken: Vec<_> = real.flat_map(plain_secrets).collect();
    assert_none(&broken, "a secret is a `Secret`: nothing else wipes it and keeps silent about it");
}

#[test]
fn every_file_is_part_of_the_program() {
    let mut broken = Vec::new();
    for root in ["src", "tests/it"] {
        let files = Source::all(root);
        for file in &files {
            let Some((own, parents)) = file.module.split_last() else { continue };
            let declares = |source: &Source| source.module == parents && source.modules().contains(own);
            if !files.iter().any(declares) && own != "main" {
                broken.push(file.name.clone());
            }
        }
    }
    assert_none(&broken, "a file that no `mod` names is compiled by nobody");
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let mut broken = Vec::new();
    for source in ["src", "tests", "benches"].iter().flat_map(|root| Source::all(root)) {
        let lines = source.text.lines().count();
        if lines > if source.is_test() { LONGEST_TESTS } else { LONGEST } {
            broken.push(format!("{}: {lines} lines", source.name));
        }
    }
    assert_none(&broken, "what is too long is more than one thing");
}

#[test]
fn no_test_sleeps() {
    let sleeping =
        Source::all("tests").into_iter().filter(|source| source.without_texts().contains("sleep("));
    let broken: Vec<_> = sleeping.map(|source| source.name).collect();
    assert_none(&broken, "a test waits for a state and not for a time, which is too short on a slow machine");
}

#[tokio::test]
async fn every_vendor_has_a_twin_and_every_twin_a_vendor() {
    let twins = twin::every().await.expect("twins");
    let mut twins: Vec<_> = twins.iter().map(|twin| twin.vendor()).collect();
    let mut makes: Vec<_> = MAKES.iter().map(|make| make.name).collect();
    twins.sort_unstable();
    makes.sort_unstable();
    assert_eq!(twins, makes);
}

/// proxy.toml with every variable set that it names.
fn example(text: &str) -> config::Config<keyward::vendor::Driver> {
    let variables = text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let value = |name: &str| match name {
        // {"aud":"121935144671","exp":1}
        "ENPHASE_TOKEN" => "e30.eyJhdWQiOiIxMjE5MzUxNDQ2NzEiLCJleHAiOjF9.c2ln",
        _ => "twenty letters at least",
    };
    let environment: Environment = variables.map(|name| (name, value(name))).collect();
    let read = config::parse(text, &path_of("proxy.toml"), &environment, &Registry);
    read.unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_example_is_right_and_shows_every_product() {
    let read = example(&Source::read("proxy.toml").text);
    let shown: BTreeSet<_> = read.devices.iter().map(|device| device.vendor).collect();
    assert_eq!(shown, products().collect());
    assert_eq!(read.warnings, [] as [String; 0]);
}

#[test]
fn what_the_example_only_shows_would_be_right_too() {
    let text = Source::read("proxy.toml").text;
    let uncommented: Vec<_> = text
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| rest.starts_with(|first| first != ' ')).unwrap_or(line)
        })
        .collect();
    let (as_it_is, uncommented) = (example(&text), example(&uncommented.join("\n")));
    assert_eq!(uncommented.devices.len(), as_it_is.devices.len() + 1, "the device of another make");
    // "What they say is the default": so nothing changes but where the file says "for example".
    assert_eq!(uncommented.limits, as_it_is.limits);
    assert_eq!(uncommented.log, as_it_is.log);
    assert_eq!((uncommented.certs, uncommented.state), (as_it_is.certs, as_it_is.state));
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let mut broken = Vec::new();
    for document in ["SECURITY.md", "ARCHITECTURE.md"] {
        let text = Source::read(document).text;
        let named = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.contains('/') && !word.contains(['<', '{', ' ']));
        let files = named.filter(|word| Path::new(word).extension().is_some_and(|kind| kind == "rs"));
        let is_there = |file: &&str| path_of(file).is_file() || path_of(&format!("src/{file}")).is_file();
        broken.extend(files.filter(|file| !is_there(file)).map(|file| format!("{document}: {file}")));
    }
    assert_none(&broken, "what a document names is there");
}

#[test]
fn the_reader_of_sources_sees_what_the_compiler_sees() {
    let source = Source::of(
        "src/gateway/permit.rs",
        r##"
        //! use crate::comment::x;
        use super::{admit, fault::{Fault, Kind}};
        use crate::config::Rights as R; /* crate::no /* crate::nested */ crate::never */
        mod own;
        pub(in crate::gateway) fn f<'a>(s: &'a str) -> super::super::twin::T {
            let _ = ("crate::text \" crate::text", r#"crate::"raw"#, '"', b'\'', "mod fake;");
            crate::secret::hide('{')
        }
        "##,
    );
    let imports: BTreeSet<_> = source.imports().iter().map(|path| path.join("::")).collect();
    let expected = [
        "config::Rights",
        "gateway",
        "gateway::admit",
        "gateway::fault::Fault",
        "gateway::fault::Kind",
        "secret::hide",
        "twin::T",
    ];
    assert_eq!(imports, expected.map(str::to_owned).into());
    assert_eq!(source.modules(), ["own"]);
    assert!(
        !Source::of("src/gateway.rs", "").is_test() && Source::of("src/keeper/tests/rest.rs", "").is_test()
    );
    assert!(Path::new(&path_of("Cargo.toml")).is_file());
}

/// Below these the libraries that read what others send have weaknesses that are known (RustSec).
#[test]
fn what_reads_bytes_of_others_is_of_a_version_without_known_weaknesses() {
    let locked = std::fs::read_to_string("Cargo.lock").unwrap();
    let parts =
        |version: &str| version.split('.').map(|part| part.parse::<u64>().unwrap()).collect::<Vec<_>>();
    for (name, least) in [
        ("bytes", "1.11.1"),
        ("h2", "0.4.16"),
        ("ring", "0.17.12"),
        ("rustls", "0.23.18"),
        ("rustls-webpki", "0.103.13"),
        ("tokio", "1.44.2"),
        ("tracing-subscriber", "0.3.20"),
    ] {
        let stanzas = locked.split("\n\n").filter(|stanza| stanza.contains(&format!("name = \"{name}\"\n")));
        for stanza in stanzas {
            let version = stanza.lines().find_map(|line| line.strip_prefix("version = \"")).unwrap();
            let version = version.trim_end_matches('"');
            assert!(parts(version) >= parts(least), "{name} {version} is older than {least}");
        }
    }
}
