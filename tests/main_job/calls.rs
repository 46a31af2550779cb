use std::process::Command;

use serde_json::Value;

use super::world::World;

impl World {
    /// A call of the server's API that no command of clearmlctl makes.
    pub(crate) fn api(&self, endpoint: &str, parameters: &Value) -> Value {
        let environment = self.server_environment();
        let value = |name| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let pair = format!(
            "{}:{}",
            value("CLEARML_API_ACCESS_KEY").expect("a key"),
            value("CLEARML_API_SECRET_KEY").expect("a secret")
        );
        let request = "import sys, urllib.request, base64\n\
             url, pair, body = sys.argv[1:]\n\
             head = {'Authorization': 'Basic ' + base64.b64encode(pair.encode()).decode(), 'Content-Type': 'application/json'}\n\
             sys.stdout.buffer.write(urllib.request.urlopen(urllib.request.Request(url, body.encode(), head)).read())\n";
        let url = format!("{}/{endpoint}", value("CLEARML_API_HOST").expect("an address"));
        let output = Command::new("/usr/bin/python3")
            .args(["-c", request, &url, &pair, &parameters.to_string()])
            .output()
            .expect("python3 starts");
        assert!(output.status.success(), "{endpoint}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}
