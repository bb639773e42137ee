//! The templates for administrators, written from the definition: administrative templates for Windows, a configuration
//! profile for macOS, a file for Linux. They lie in `src-tauri/managed`.

mod admx;
mod json;
mod mobileconfig;

/// The policy key on Windows, below `HKEY_LOCAL_MACHINE`.
pub const POLICY_KEY: &str = r"SOFTWARE\Policies\Deskgate";

/// Every template: its path below the folder of the templates, and its text.
pub fn all() -> Vec<(&'static str, String)> {
    vec![
        ("deskgate.admx", admx::definitions()),
        ("en-US/deskgate.adml", admx::words()),
        ("deskgate.mobileconfig", mobileconfig::profile()),
        ("10-deskgate.json", json::file()),
    ]
}

/// A text within XML.
fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;
    use crate::{DOMAIN, Managed, Setting, linux, macos};

    fn folder() -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../managed"))
    }

    /// Run with `DESKGATE_BLESS=1` to write the templates anew.
    #[test]
    fn committed_templates_are_the_generated_ones() {
        for (name, text) in all() {
            let path = folder().join(name);
            if std::env::var_os("DESKGATE_BLESS").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            assert!(
                std::fs::read_to_string(&path).unwrap_or_default() == text,
                "src-tauri/managed/{name} is not what the code says; run this test once with DESKGATE_BLESS=1"
            );
        }
    }

    #[test]
    fn what_the_templates_set_is_understood_when_it_is_read_back() {
        let json = all().pop().unwrap().1;
        let names: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(
            names.keys().collect::<Vec<_>>(),
            Setting::ALL.map(Setting::name).iter().collect::<Vec<_>>()
        );

        let profile = plist::Value::from_reader(std::io::Cursor::new(mobileconfig::profile())).unwrap();
        let payload = profile.as_dictionary().unwrap()["PayloadContent"].as_array().unwrap()[0].clone();
        assert_eq!(payload.as_dictionary().unwrap()["PayloadType"].as_string(), Some(DOMAIN));
        let mut forced = Vec::new();
        payload.to_writer_xml(&mut forced).unwrap();
        let profile = Managed::parse("x", macos::entries(&forced, "x").unwrap()).unwrap().unwrap();
        let linux = linux::from_text(&json).unwrap().unwrap();
        assert_eq!(profile.settings, linux.settings);
        assert_eq!(linux.from.len(), Setting::ALL.len());
    }

    /// Stranger's readers find nothing to complain about.
    #[test]
    fn templates_are_well_formed() {
        let look = r#"
import plistlib, sys, xml.dom.minidom
admx, adml, profile = sys.argv[1:]
policies = xml.dom.minidom.parse(admx).getElementsByTagName("policy")
strings = {s.getAttribute("id") for s in xml.dom.minidom.parse(adml).getElementsByTagName("string")}
shown = {p.getAttribute("id") for p in xml.dom.minidom.parse(adml).getElementsByTagName("presentation")}
for policy in policies:
    for attribute in ("displayName", "explainText"):
        assert policy.getAttribute(attribute)[len("$(string."):-1] in strings, policy.toxml()
    wanted = policy.getAttribute("presentation")
    assert not wanted or wanted[len("$(presentation."):-1] in shown, policy.toxml()
print(len(policies), len(plistlib.load(open(profile, "rb"))["PayloadContent"]))
"#;
        let files = ["deskgate.admx", "en-US/deskgate.adml", "deskgate.mobileconfig"];
        let paths = files.map(|name| folder().join(name));
        let looked = Command::new("python3").args(["-c", look]).args(paths).output().unwrap();
        let (told, wrong) =
            (String::from_utf8_lossy(&looked.stdout), String::from_utf8_lossy(&looked.stderr));
        assert_eq!(told.trim(), format!("{} 1", Setting::ALL.len()), "{wrong}");
    }
}
