use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

const TABLE: &str =
    "# A meter\n[devices.meter]\nvendor = \"open\"\nurl    = \"https://10.0.0.1\"\n#cache = \"0s\"\n";

fn document(text: &str) -> (tempfile::TempDir, PathBuf, Document) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    fs::write(&file, text).unwrap();
    let document = Document::read(&file).map_err(|exit| exit.to_string()).unwrap();
    (folder, file, document)
}

fn with(text: &str) -> Result<String, String> {
    document(text).2.with("meter", TABLE).map_err(|exit| exit.to_string())
}

#[test]
fn a_table_goes_behind_all_that_stands_there() {
    for (text, gap) in [
        ("", ""),
        ("# nothing yet\n", "\n"),
        ("[devices.a]\nx = 1 # last", "\n\n"),
        ("[devices.a]\nx = 1\n\n[log]\nlevel = \"info\"\n#format = \"json\"\n", "\n"),
        ("[devices]\n\n[devices.a]\nx = 1\n", "\n"),
        ("[devices]\na = { x = 1 }\nb.x = 1\n", "\n"),
    ] {
        assert_eq!(with(text), Ok(format!("{text}{gap}{TABLE}")), "{text}");
    }
}

#[test]
fn devices_in_one_line_get_another_there() {
    for text in
        ["devices = { a = { x = 1 } } # mine\n", "# mine\ndevices.a.x = 1 # one\nlisten = \"y\" # two\n"]
    {
        let whole = with(text).unwrap();
        let read: toml::Table = whole.parse().unwrap();
        assert_eq!(read["devices"]["meter"]["vendor"].as_str(), Some("open"), "{whole}");
        assert_eq!(read["devices"]["a"]["x"].as_integer(), Some(1));
        for comment in text.split('#').skip(1).map(|rest| rest.lines().next().unwrap()) {
            assert!(whole.contains(comment), "{whole}");
        }
    }
}

#[test]
fn a_file_that_can_not_be_added_to_is_told_with_what_to_add() {
    for text in ["devices = 1\n", "[[devices]]\nx = 1\n"] {
        let told = with(text).unwrap_err();
        assert!(told.contains("Add by hand") && told.contains(TABLE), "{told}");
    }
}

#[test]
fn devices_in_one_line_are_left_alone_where_the_rest_would_be_printed_otherwise() {
    for text in [
        "listen = \"y\"\r\ndevices = { a = { x = 1 } }\r\n",
        "\u{feff}devices = { a = { x = 1 } }\n",
        "devices = { a = { x = 1 } }",
        "devices.a.x = 1\nlisten = \"y\"\ndevices.b.x = 1\n",
    ] {
        let told = with(text).unwrap_err();
        assert!(told.contains("Add by hand") && told.contains(TABLE), "{told}");
    }
}

#[test]
fn the_mode_stays_whatever_the_umask_takes() {
    let (_folder, file, document) = document("");
    fs::set_permissions(&file, Permissions::from_mode(0o777)).unwrap();
    assert!(document.replace("ours").is_ok());
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o777);
}

#[test]
fn what_somebody_else_wrote_meanwhile_stays() {
    let (_folder, file, document) = document("[log]\n");
    fs::write(&file, "# theirs\n").unwrap();
    assert!(document.replace("ours").unwrap_err().to_string().contains("was changed meanwhile"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "# theirs\n");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing half done is left");
}

#[test]
fn a_new_file_takes_nobodys_place() {
    let (_folder, file, _) = document("# theirs\n");
    assert!(create(&file, "ours").is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "# theirs\n");
}

/// Lines of a file, of which any may follow any other.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "#[ -~]{0,20}",
        Just("  # a comment [devices.meter]".to_owned()),
        (any::<u16>(), "[a-z]{1,6}").prop_map(|(number, word)| format!("k{number} = \"{word}\" # {word}")),
        any::<u16>().prop_map(|number| format!("[devices.d{number}]")),
        any::<u16>().prop_map(|number| format!("[devices.d{number}.cache] # below it")),
        any::<u16>().prop_map(|number| format!("[access.keys.k{number}]")),
        Just("[[listeners]]".to_owned()),
        any::<u16>().prop_map(|number| format!("t{number} = '''\n# no comment\n[devices.meter]\n'''")),
    ]
}

proptest! {
    #[test]
    fn whatever_stood_there_stands_there_still(
        lines in prop::collection::vec(line(), 0..20),
        end in prop_oneof![Just("\n"), Just("\r\n")],
        is_ended: bool,
    ) {
        let text = lines.join("\n").replace('\n', end) + if is_ended { end } else { "" };
        prop_assume!(text.parse::<DocumentMut>().is_ok());
        let whole = with(&text).unwrap();
        prop_assert!(whole.starts_with(&text), "{whole}");
        let (before, after): (toml::Table, toml::Table) = (text.parse().unwrap(), whole.parse().unwrap());
        let mut expected = before.clone();
        let devices = expected.entry("devices").or_insert_with(|| toml::Table::new().into());
        devices.as_table_mut().unwrap().insert("meter".to_owned(), TABLE.parse::<toml::Table>().unwrap()["devices"]["meter"].clone());
        prop_assert_eq!(after, expected);
    }
}
