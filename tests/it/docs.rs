//! What the documentation shows is what the program takes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use keyward::config::{self, Environment};
use keyward::twin::Certificate;
use keyward::vendor::Registry;
use toml::{Table, Value};

use crate::support::Process;

/// A token that nobody has signed, for the serial number that the pages use, good until 2100.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJhdWQiOiIxMjE5MzUxNDQ2NzEiLCJleHAiOjQxMDI0NDQ4MDB9.c2ln";

/// A fenced block: what it is, where it stands, and what is in it.
struct Block {
    kind: String,
    at: String,
    text: String,
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> =
        ["README.md", "packaging/home-assistant/keyward/DOCS.md"].map(|it| root.join(it)).into();
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// Every fenced block of every page.
fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            let bare = line.trim_start();
            match (&mut open, bare.strip_prefix("```")) {
                (None, Some(kind)) => {
                    let at = format!("{name}:{}", number + 1);
                    open = Some(Block { kind: kind.to_owned(), at, text: String::new() });
                }
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{name}: a block without an end");
    }
    blocks
}

/// Every configuration that a page shows, or a part of one, and where.
pub(crate) fn configurations() -> impl Iterator<Item = (String, String)> {
    blocks().into_iter().filter(|block| block.kind == "toml").map(|block| (block.at, block.text))
}

fn table<'a>(of: &'a mut Table, key: &str) -> &'a mut Table {
    let entry = of.entry(key.to_owned()).or_insert_with(|| Value::Table(Table::new()));
    entry.as_table_mut().expect("a table")
}

/// A part of a configuration, with what a reader of it has in theirs already.
fn completed(text: &str, at: &str) -> String {
    let mut whole: Table = text.parse().unwrap_or_else(|error| panic!("{at}: {error}"));
    let mut named = Vec::new();
    for door in whole.get("listeners").and_then(Value::as_array).into_iter().flatten() {
        named.extend(door.get("device").and_then(Value::as_str).map(str::to_owned));
    }
    for key in table(table(&mut whole.clone(), "access"), "keys").values() {
        let devices = key.get("devices").and_then(Value::as_array).into_iter().flatten();
        named.extend(devices.filter_map(Value::as_str).map(str::to_owned));
    }
    let devices = table(&mut whole, "devices");
    for name in named {
        table(devices, &name);
    }
    if devices.is_empty() {
        table(devices, "meter");
    }
    for (_, device) in devices.iter_mut() {
        let device = device.as_table_mut().expect("a device");
        if !device.contains_key("vendor") {
            device.insert("vendor".to_owned(), "open".into());
            device.insert("url".to_owned(), "https://192.168.1.9".into());
            device.entry("acts_on_get").or_insert_with(|| Value::Array(Vec::new()));
        }
    }
    whole.iter_mut().for_each(|(key, value)| provide(key, value));
    toml::to_string(&whole).unwrap()
}

/// Wherever a reader keeps a secret, here it is in a file.
fn provide(key: &str, value: &mut Value) {
    let Some(table) = value.as_table_mut() else { return };
    if table.contains_key("env") || table.contains_key("file") {
        let file = if key == "token" { "token" } else { "secret" };
        *table = Table::from_iter([("file".to_owned(), Value::from(file))]);
    }
    table.iter_mut().for_each(|(key, value)| provide(key, value));
}

#[test]
fn every_configuration_that_a_page_shows_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Certificate::self_signed().unwrap();
    fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
    fs::write(folder.path().join("secret"), "of more than twenty letters").unwrap();
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    let mut seen = 0;
    for (at, text) in configurations() {
        let text = completed(&text, &at);
        let file = folder.path().join("proxy.toml");
        if let Err(errors) = config::parse(&text, &file, &Environment::default(), &Registry) {
            panic!("{at}:\n{errors}\n{text}");
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn what_a_page_shows_for_other_programs_is_at_least_in_their_language() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for Block { kind, at, text } in blocks() {
        match kind.as_str() {
            "toml telegraf" => drop(text.parse::<Table>().unwrap_or_else(|error| panic!("{at}: {error}"))),
            "yaml" => drop(
                yaml_rust2::YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{at}: {error}")),
            ),
            "json" => drop(
                serde_json::from_str::<serde_json::Value>(&text)
                    .unwrap_or_else(|error| panic!("{at}: {error}")),
            ),
            "toml" | "console" | "text" | "python" => {}
            other => panic!("{at}: nobody checks {other:?}"),
        }
        *seen.entry(kind).or_default() += 1;
    }
    assert!(seen["yaml"] >= 5, "{seen:?}");
}

/// `keyward …` in a page is a command that there is, with options that it has.
#[tokio::test]
async fn every_command_that_a_page_shows_is_one() {
    let process = Process::new("");
    let mut seen = 0;
    for Block { at, text, .. } in blocks().into_iter().filter(|block| block.kind == "console") {
        for line in text.lines().filter_map(|line| line.strip_prefix("$ ")) {
            // What a shell does with the output is its own.
            let line = [" #", " | ", " > "].iter().fold(line, |line, mark| line.split(mark).next().unwrap());
            let line = line.trim().trim_start_matches("sudo ");
            let line = line.trim_start_matches("env STATE_DIRECTORY=/var/lib/keyward ");
            let Some(arguments) =
                line.strip_prefix("keyward ").or_else(|| line.strip_prefix("cargo run --release -- "))
            else {
                continue;
            };
            let mut arguments: Vec<_> = arguments.split_whitespace().collect();
            arguments.push("--help");
            let ended = process.carry_out(&arguments).await;
            assert_eq!(ended.code, Some(0), "{at}: {line}: {}", ended.err);
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            let path = page.parent().unwrap().join(link.split('#').next().unwrap_or_default());
            assert!(path.exists(), "{}: {link}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
