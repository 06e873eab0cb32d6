//! A device with a key that no library takes any more. Needs `openssl`, which still shows one.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::it::support::{Lab, address_in};

/// A key of 1024 bits and a certificate for it.
fn make(folder: &std::path::Path) {
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:1024",
            "-nodes",
            "-sha256",
            "-subj",
            "/CN=device",
            "-days",
            "30",
        ])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl has to be installed for these tests");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A device that answers everything with a page of its own, and where it is.
async fn device(folder: &std::path::Path, version: &str) -> (Child, String) {
    let mut device = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-www", version])
        .args(["-key", "key.pem", "-cert", "cert.pem", "-cipher", "DEFAULT@SECLEVEL=0"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(device.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("a device that listens");
        if line.starts_with("ACCEPT ") {
            let address = address_in(&line, "ACCEPT ").to_string();
            // Who closes it has it fail to write.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (device, address);
        }
    }
}

#[tokio::test]
async fn a_key_too_weak_to_check_serves_who_accepts_any_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    for version in ["-tls1_2", "-tls1_3"] {
        let (_device, address) = device(folder.path(), version).await;
        let trusting = |trust: &str| {
            format!("[devices.meter]\nvendor = \"open\"\nurl = \"https://{address}\"\ntrust = {trust}\n")
        };
        let lab = Lab::new(&trusting("\"any\"")).await;
        let reply = lab.get("/meter/x").await;
        assert_eq!(reply.status, 200, "{version}: {reply:?}");
        assert!(reply.text().contains("s_server"), "{version}: {reply:?}");
        let lab = Lab::new(&trusting("\"pin\"")).await;
        let problem = lab.get("/meter/x").await.problem();
        assert_eq!(problem.fault, "certificate_changed", "{version}: {}", problem.detail);
        assert!(problem.detail.contains("too weak"), "{version}: {}", problem.detail);
        assert!(!lab.path("certs/meter.pem").exists(), "{version}: pinned unproven");
    }
}
