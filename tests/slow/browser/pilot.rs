//! A browser that does what a test tells it (the DevTools protocol of Chromium, over a pipe).

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Browser, PATIENCE};

/// A page in a browser of its own.
pub(super) struct Pilot {
    to: Sender,
    from: BufReader<Receiver>,
    asked: u64,
    session: Option<String>,
    child: Child,
    _profile: TempDir,
}

impl Pilot {
    /// A browser with this page.
    pub(super) async fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|name| profile.path().join(name));
        for pipe in [&to, &from] {
            assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        // It reads orders from its third descriptor and writes answers to its fourth.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec chromium \"$@\" 3<>\"$0/to\" 4<>\"$0/from\""]).arg(profile.path());
        Browser::prepare(&mut command, &profile);
        let child = command.arg("--remote-debugging-pipe").stdout(Stdio::null()).spawn().unwrap();
        let both = |path: &Path| (OpenOptions::new().read_write(true).clone(), path.to_owned());
        let ((sends, to), (receives, from)) = (both(&to), both(&from));
        let mut pilot = Self {
            to: sends.open_sender(to).unwrap(),
            from: BufReader::new(receives.open_receiver(from).unwrap()),
            asked: 0,
            session: None,
            child,
            _profile: profile,
        };
        let target = pilot.order("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = pilot.order("Target.attachToTarget", attach).await;
        pilot.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        pilot.order("Page.enable", json!({})).await;
        pilot.goes_to(url).await;
        pilot
    }

    /// Opens another page.
    pub(super) async fn goes_to(&mut self, url: &str) {
        self.order("Page.navigate", json!({ "url": url })).await;
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'").await;
    }

    /// What an expression is on the page.
    pub(super) async fn is(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let said = self.order("Runtime.evaluate", asked).await;
        assert!(said.get("exceptionDetails").is_none(), "{expression}: {said}");
        said["result"]["value"].clone()
    }

    /// Waits until an expression is true on the page, which may be another by then.
    pub(super) async fn until(&mut self, expression: &str) {
        let waited = timeout(PATIENCE, async {
            let asked = json!({ "expression": format!("Boolean({expression})"), "returnByValue": true });
            // While a page makes way for another there is nothing to ask.
            while self.order("Runtime.evaluate", asked.clone()).await["result"]["value"] != true {
                tokio::task::yield_now().await;
            }
        });
        if waited.await.is_err() {
            panic!("never {expression}: {}", self.is("document.documentElement.outerHTML").await);
        }
    }

    pub(super) async fn close(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn order(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut order = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.to.write_all(&[order.to_string().as_bytes(), b"\0"].concat()).await.unwrap();
        loop {
            let mut line = Vec::new();
            let read = timeout(PATIENCE, self.from.read_until(0, &mut line)).await;
            read.unwrap_or_else(|_| panic!("no answer to {method}")).unwrap();
            let mut told: Value = serde_json::from_slice(line.strip_suffix(b"\0").unwrap()).unwrap();
            if told["id"] == self.asked {
                return told["result"].take();
            }
        }
    }
}
