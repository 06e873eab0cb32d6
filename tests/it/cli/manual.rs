//! What a person reads before they type: help and manual.

use crate::support::Process;

const COMMANDS: [&str; 11] = [
    "run",
    "demo",
    "init",
    "add",
    "discover",
    "check",
    "trust",
    "health",
    "completions",
    "man",
    "editor-schema",
];

#[tokio::test]
async fn every_help_fits_a_screen() {
    let process = Process::new("");
    for command in std::iter::once(None).chain(COMMANDS.map(Some)) {
        let arguments: Vec<_> = command.into_iter().chain(["--help"]).collect();
        let ended = process.carry_out(&arguments).await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        let is_of_device = matches!(command, Some("init" | "add"));
        assert_eq!(ended.out.contains("[OPTIONS] [DEVICE]\n"), is_of_device, "{}", ended.out);
        let lines: Vec<_> = ended.out.lines().collect();
        assert!(lines.len() <= 24, "{command:?}: {} lines", lines.len());
        for line in lines {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
        if command.is_none() {
            let listed: Vec<_> =
                COMMANDS.iter().filter(|name| ended.out.contains(&format!("\n  {name} "))).collect();
            assert_eq!(listed.len(), COMMANDS.len(), "{}", ended.out);
        }
    }
}

#[tokio::test]
async fn there_is_a_manual_page_for_the_program_and_for_each_command() {
    let process = Process::new("");
    let page = process.carry_out(&["man"]).await;
    assert_eq!((page.code, page.err.as_str()), (Some(0), ""));
    for words in [
        ".TH keyward 1",
        ".SH NAME",
        "keyward\\-init(1)",
        ".SH FILES",
        ".SH ENVIRONMENT",
        ".SH \"EXIT STATUS\"",
    ] {
        assert!(page.out.contains(words), "{words}: {}", page.out);
    }
    for command in COMMANDS {
        let page = process.carry_out(&["man", command]).await;
        assert_eq!(page.code, Some(0), "{page:?}");
        assert!(page.out.contains(&format!(".TH keyward-{command} 1")), "{}", page.out);
    }
    let init = process.carry_out(&["man", "init"]).await;
    assert!(init.out.contains("password\\-env"), "what help has no room for: {}", init.out);
    assert!(init.out.contains(".SH NOTES") && !init.out.contains(".SH EXTRA"), "{}", init.out);
    assert!(!init.out.contains("\n\n"), "an option without a word: {}", init.out);
    assert!(!page.out.contains("keyward\\-help(1)"), "there is no such page: {}", page.out);
    let unknown = process.carry_out(&["man", "chek"]).await;
    assert!(unknown.code == Some(2) && unknown.err.contains("chek"), "{unknown:?}");
}

#[tokio::test]
async fn the_schema_is_printed_and_lies_beside_what_init_writes() {
    let process = Process::new("");
    let printed = process.carry_out(&["editor-schema"]).await;
    assert_eq!((printed.code, printed.out), (Some(0), crate::house::read("src/proxy.schema.json")));
    let init = ["init", "--config", "new.toml", "--vendor", "open", "--url", "http://10.0.0.1", "--untested"];
    let ended = process.carry_out(&init).await;
    assert!(ended.code == Some(0) && ended.out.contains("proxy.schema.json, for editors"), "{ended:?}");
    let written = std::fs::read_to_string(process.path("new.toml")).unwrap();
    let named = written.lines().next().unwrap().strip_prefix("#:schema ").unwrap();
    assert_eq!(
        std::fs::read_to_string(process.path(named)).unwrap(),
        crate::house::read("src/proxy.schema.json")
    );
}
