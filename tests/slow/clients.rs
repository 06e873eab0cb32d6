//! Programs that people really use, unchanged: from PyPI, npm and Debian, by name and version. They are installed below
//! target/ when a test first wants them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use keyward::twin::Twin as _;
use keyward::twin::cloud::CloudSettings;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tokio::time::{interval, timeout};

use crate::support::{Ask, Device, Lab, Line};

/// Client libraries, and what they need that they do not say.
const FROM_PYPI: [&str; 6] = [
    "pyenphase==4.2.0",
    "egauge-python==0.9.17",
    "crcmod==1.7",
    "intelhex==2.3.0",
    "egauge-async==0.4.0",
    "enphase-api==1.0.0",
];
/// Node-RED 5 wants a newer Node than Debian has.
const FROM_NPM: &str = "node-red@4.1.2";

/// However slow a machine is, a program that starts is ready by then.
const PATIENCE: Duration = Duration::from_secs(60);

const TLS_DOOR: &str = "[[listeners]]\nlisten = \"127.0.0.1:0\"\ntls = \"self-signed\"\n";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(name)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slow/clients").join(name)
}

/// Runs a program to its end, and gives what it printed.
async fn output(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let mut command = Command::new(program);
    // These would have requests check a certificate that it was told not to.
    command.env_remove("REQUESTS_CA_BUNDLE").env_remove("CURL_CA_BUNDLE");
    let ended = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = timeout(10 * PATIENCE, ended).await.expect("an end").expect("a program");
    let [out, err] = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(ended.status.success(), "{} {arguments:?}:\n{out}{err}", program.display());
    out
}

/// Python with the client libraries.
async fn python() -> PathBuf {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let venv = folder("venv");
    let python = venv.join("bin/python");
    INSTALLED
        .get_or_init(|| async {
            if !python.exists() {
                output("python3", &["-m", "venv", venv.to_str().unwrap()]).await;
            }
            let quietly = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            output(&python, &[&quietly[..], &FROM_PYPI].concat()).await;
        })
        .await;
    python
}

async fn runs(name: &str, arguments: &[&str]) -> String {
    let script = script(name);
    output(python().await, &[&[script.to_str().unwrap()], arguments].concat()).await
}

async fn solar() -> (std::sync::Arc<Enphase>, Device) {
    let twin = Enphase::with_cloud(EnphaseSettings::default(), CloudSettings::default()).await.unwrap();
    let device = Device::new(std::sync::Arc::<Enphase>::clone(&twin));
    (twin, device)
}

#[tokio::test(flavor = "multi_thread")]
async fn pyenphase_meets_a_gateway_below_a_prefix() {
    let (twin, device) = solar().await;
    let lab = Lab::new(&(device.table("solar", "") + TLS_DOOR)).await;
    let host = format!("{}/solar", lab.doors()[1]);
    assert!(
        runs("with_pyenphase.py", &[&host, &EnphaseSettings::default().serial]).await.contains("inverters")
    );
    assert_eq!((twin.cloud().logins(), twin.sessions()), (1, 1), "what the client asks costs one login");
}

#[tokio::test(flavor = "multi_thread")]
async fn enphase_api_logs_in_to_a_gateway_that_never_hears_of_it() {
    let (twin, device) = solar().await;
    let lab = Lab::new(&(device.table("solar", "") + TLS_DOOR)).await;
    assert!(
        runs("with_enphase_api.py", &[&format!("https://{}/solar", lab.doors()[1])]).await.contains("kinds")
    );
    assert_eq!(twin.cloud().logins(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_makers_own_library_reads_a_meter_without_a_credential() {
    let twin = Egauge::new(EgaugeSettings::default());
    let device = Device::new(twin.clone());
    let lab = Lab::new(&device.table("meter", "")).await;
    assert!(
        runs("with_egauge_python.py", &[&format!("http://{}/meter", lab.address())])
            .await
            .contains("registers")
    );
    assert_eq!(twin.logins(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn egauge_async_logs_in_at_a_door_of_the_meters_own() {
    let twin = Egauge::new(EgaugeSettings::default());
    let device = Device::new(twin.clone());
    // It takes no port, so the door is at http's own, at an address of the loopback that nothing else uses.
    let door = "[[listeners]]\nlisten = \"127.0.0.80:80\"\ndevice = \"meter\"\n";
    let _lab = Lab::new(&(device.table("meter", "") + door)).await;
    assert!(runs("with_egauge_async.py", &["127.0.0.80"]).await.contains("measurements"));
    assert_eq!(twin.logins(), 1, "whatever the client renews, the meter is logged in to once");
}

/// Asks until a program that has just started answers so.
async fn answers(address: SocketAddr, target: &str, is_it: impl Fn(&str) -> bool) -> String {
    // Another program's start is nothing that one is told of.
    let mut again = interval(Duration::from_millis(100));
    let asking = async {
        loop {
            again.tick().await;
            if TcpStream::connect(address).await.is_ok()
                && let Ok(reply) = Line::to(address).await.ask(&Ask::get(target)).await
                && is_it(reply.text())
            {
                return reply.text().to_owned();
            }
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{target} is never answered so"))
}

/// A port that is free now.
async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn begin(command: &mut Command, log: &Path) -> Child {
    let log = std::fs::File::create(log).unwrap();
    let err = log.try_clone().unwrap();
    command.stdin(Stdio::null()).stdout(log).stderr(err).kill_on_drop(true).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn node_red_reads_a_meter_with_the_flow_of_the_documentation() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let lab = Lab::new(&device.table("meter", "")).await;
    let modules = folder("node");
    if !modules.join("node_modules/node-red/red.js").exists() {
        let prefix = modules.to_str().unwrap();
        output("npm", &["install", "--silent", "--no-audit", "--no-fund", "--prefix", prefix, FROM_NPM])
            .await;
    }
    let home = tempfile::tempdir().unwrap();
    let flow =
        include_str!("../../docs/tools/node-red.json").replace("localhost:8480", &lab.address().to_string());
    // The flow asks once a minute; who can't wait that long asks it.
    let door = r#"[{"id":"in","type":"http in","z":"keyward","url":"/now","method":"get","wires":[["keyward-ask"]]},
        {"id":"out","type":"http response","z":"keyward","wires":[]}]"#;
    let mut nodes: Vec<serde_json::Value> = serde_json::from_str(&flow).unwrap();
    nodes.extend(serde_json::from_str::<Vec<serde_json::Value>>(door).unwrap());
    let last = nodes
        .iter_mut()
        .find(|node| node["id"] == "keyward-reading")
        .expect("the node that makes a number of it");
    last["wires"][0].as_array_mut().unwrap().push("out".into());
    std::fs::write(home.path().join("flows.json"), serde_json::to_string(&nodes).unwrap()).unwrap();
    let address = free().await;
    let settings = "module.exports = { flowFile: 'flows.json', httpAdminRoot: false, uiHost: '127.0.0.1' };";
    std::fs::write(home.path().join("settings.js"), settings).unwrap();
    let mut command = Command::new("node");
    command.arg(modules.join("node_modules/node-red/red.js")).args(["--port", &address.port().to_string()]);
    command.arg("--userDir").arg(home.path()).arg("--settings").arg(home.path().join("settings.js"));
    let _running = begin(&mut command, &home.path().join("log"));
    answers(address, "/now", |text| text.trim().parse::<f64>().is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_what_promtool_approves_of() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let (gone, cached) = (free().await, "cache = \"1h\"\n");
    let other = format!("[devices.gone]\nvendor = \"open\"\nurl = \"http://{gone}\"\n");
    let lab = Lab::new(&(device.table("meter", cached) + &other)).await;
    for path in ["/meter/api/register?rate", "/meter/api/register?rate", "/gone/", "/nobody/"] {
        lab.get(path).await;
    }
    let home = tempfile::tempdir().unwrap();
    let text = home.path().join("metrics");
    std::fs::write(&text, lab.get("/metrics").await.text()).unwrap();
    output("sh", &["-c", &format!("promtool check metrics < {}", text.display())]).await;
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring/alerts.yml");
    let configuration = format!(
        "global: {{ scrape_interval: 1s }}\nrule_files: [{:?}]\nscrape_configs:\n\
         - {{ job_name: keyward, static_configs: [{{ targets: [\"{}\"] }}] }}\n",
        rules,
        lab.address()
    );
    let file = home.path().join("prometheus.yml");
    std::fs::write(&file, configuration).unwrap();
    output("promtool", &["check", "config", file.to_str().unwrap()]).await;
    let tests = rules.with_file_name("alerts_test.yml");
    output("promtool", &["test", "rules", tests.to_str().unwrap()]).await;
    let address = free().await;
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", file.display())).arg(format!("--web.listen-address={address}"));
    command.arg(format!("--storage.tsdb.path={}", home.path().join("data").display()));
    let _running = begin(&mut command, &home.path().join("log"));
    answers(address, "/api/v1/query?query=up", |text| text.contains("\"1\"]")).await;
    let query = "/api/v1/query?query=keyward_requests_total%7Bdevice%3D%22meter%22%2Ccode%3D%22200%22%7D";
    answers(address, query, |text| text.contains("\"2\"]")).await;
    // What the dashboard asks for is there.
    let dashboard = include_str!("../../packaging/monitoring/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let figures = lab.get("/metrics").await.text().to_owned();
    let mut seen = 0;
    for target in
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap())
    {
        let expression = target["expr"].as_str().unwrap();
        let name = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = name
            .filter(|word| !word.is_empty())
            .find(|word| word.starts_with("keyward_") || word.starts_with("process_"))
            .unwrap();
        assert!(figures.contains(&format!("# TYPE {} ", name.trim_end_matches("_bucket"))), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 9);
}
