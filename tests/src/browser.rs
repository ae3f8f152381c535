//! A browser that tests drive: Debian's chromium, by way of its driver (the protocol `WebDriver` of the W3C, over HTTP).

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{netns::Namespace, scratch::Directory};

/// The longest that a page takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(1);
/// Where the driver listens, in the namespace of its host.
const PORT: u16 = 9515;

/// A browser on a host.
#[derive(Debug)]
pub struct Browser<'n> {
    namespace: &'n Namespace,
    driver: Child,
    session: String,
    profile: Directory,
}

impl<'n> Browser<'n> {
    /// Starts a browser on a host.
    ///
    /// # Panics
    /// When there is none: `cargo xtask setup` installs it.
    pub fn start(namespace: &'n Namespace) -> Self {
        let profile = Directory::temporary("browser");
        let driver = namespace.enter(|| {
            Command::new("chromedriver")
                .args([format!("--port={PORT}"), "--silent".to_owned()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        });
        let driver = driver.expect("chromedriver is installed (`cargo xtask setup` does it)");
        let mut browser = Self {
            namespace,
            driver,
            session: String::new(),
            profile,
        };
        let ready = || browser.try_call("GET", "/status", &Value::Null).ok();
        wait_for("the driver of the browser", || {
            ready().filter(|answer| answer["ready"] == true)
        });
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", browser.profile.path().display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = browser.call("POST", "/session", &wanted);
        let id = answer["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("/session/{id}");
        browser
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let told = |error: std::io::Error| error.to_string();
        let address = (Ipv4Addr::LOCALHOST, PORT);
        let stream = self
            .namespace
            .enter(|| TcpStream::connect(address))
            .map_err(told)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        (&stream).write_all(request.as_bytes()).map_err(told)?;
        let mut reader = BufReader::new(&stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).map_err(told)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value
                    .trim()
                    .parse()
                    .map_err(|_not_a_number| line.to_owned())?;
            }
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).map_err(told)?;
        let answer: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        match &answer["value"]["error"] {
            Value::String(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            _ => Ok(answer["value"].clone()),
        }
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("{}{path}", self.session);
        self.try_call(method, &path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Opens an address and waits until its page is there.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
        // On a busy machine the driver is back before the page's modules have run.
        self.wait("document.readyState === 'complete'");
    }

    /// Runs a script in the page; returns what it returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.call(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": [] }),
        )
    }

    /// Waits until an expression of JavaScript holds in the page.
    #[track_caller]
    pub fn wait(&self, expression: &str) {
        let script = json!({ "script": format!("return Boolean({expression})"), "args": [] });
        let path = format!("{}/execute/sync", self.session);
        let deadline = Instant::now() + PATIENCE;
        // While one page makes way for the next there is none to ask.
        while self.try_call("POST", &path, &script) != Ok(Value::Bool(true)) {
            assert!(
                Instant::now() < deadline,
                "not within {} s: {expression}; the page says: {}",
                PATIENCE.as_secs(),
                self.text("main")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The text that a part of the page shows.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let script = format!(
            "return document.querySelector({})?.innerText ?? ''",
            json!(selector)
        );
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.call("POST", "/element", &wanted);
        let found = found.as_object().and_then(|found| found.values().next());
        found
            .and_then(Value::as_str)
            .expect("an element has an id")
            .to_owned()
    }

    /// Clicks as a mouse does: what is covered or out of reach is not clicked.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.call("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Clicks what leads to another page, and waits for it.
    #[track_caller]
    pub fn follow(&self, selector: &str) {
        self.run("window.isOld = true");
        self.click(selector);
        self.wait("!window.isOld && document.readyState === 'complete'");
    }

    /// Types into a field, in place of what it holds; chooses from a menu by typing.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        if self.run(&format!(
            "return document.querySelector({}).tagName",
            json!(selector)
        )) != "SELECT"
        {
            self.call("POST", &format!("/element/{element}/clear"), &json!({}));
        }
        self.call(
            "POST",
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Presses keys, wherever the focus is; special ones are `WebDriver`'s code points.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let presses = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let presses: Vec<_> = presses.collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": presses }] });
        self.call("POST", "/actions", &actions);
    }

    /// Opens another tab and works in it; returns the former one.
    #[track_caller]
    pub fn new_tab(&self) -> String {
        let former = self.call("GET", "/window", &Value::Null);
        let tab = self.call("POST", "/window/new", &json!({ "type": "tab" }));
        self.turn_to(tab["handle"].as_str().unwrap_or_default());
        former.as_str().unwrap_or_default().to_owned()
    }

    /// Works in another tab.
    #[track_caller]
    pub fn turn_to(&self, tab: &str) {
        self.call("POST", "/window", &json!({ "handle": tab }));
    }

    /// What pages and the browser complained of so far.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().into_iter().flatten();
        entries
            .filter_map(|entry| Some(entry["message"].as_str()?.to_owned()))
            .collect()
    }

    #[track_caller]
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.call("POST", "/goog/cdp/execute", &body)
    }

    /// Shows pages in this width and scheme from now on.
    #[track_caller]
    pub fn look(&self, width: u32, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Writes a picture of the page.
    #[track_caller]
    pub fn picture(&self, path: &Path) {
        let size =
            self.run("return [innerWidth, Math.min(document.documentElement.scrollHeight, 2000)]");
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.devtools("Page.captureScreenshot", &wanted);
        let bytes = base64(taken["data"].as_str().unwrap_or_default());
        fs::write(path, bytes).expect("there is room for a picture");
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        // The namespace ends whatever does not end by itself.
        let _ = self.try_call("DELETE", &self.session, &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[track_caller]
fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "not within {} s: {what}",
            PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn base64(text: &str) -> Vec<u8> {
    let value = |sign: u8| match sign {
        b'A'..=b'Z' => sign - b'A',
        b'a'..=b'z' => sign - b'a' + 26,
        b'0'..=b'9' => sign - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let signs: Vec<u8> = text.bytes().filter(|sign| *sign != b'=').collect();
    let mut bytes = Vec::with_capacity(signs.len() / 4 * 3);
    for four in signs.chunks(4) {
        let bits = four
            .iter()
            .fold(0_u32, |bits, sign| bits << 6 | u32::from(value(*sign)));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}
