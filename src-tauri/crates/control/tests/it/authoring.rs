//! What IT types from a change to its publication, and back.

use std::path::Path;

use serde_json::Value;

use crate::commands::Desk;

const SIGN: &str = "bundle sign org --root root/1.json --key manifest.pem --out public";

fn rename(desk: &Desk, from: &str, to: &str) {
    let path = desk.dir.path().join("org/org.toml");
    let text = std::fs::read_to_string(&path).expect("reads");
    let (from, to) = (format!("name = \"{from}\""), format!("name = \"{to}\""));
    assert!(text.contains(&from), "{text}");
    std::fs::write(&path, text.replace(&from, &to)).expect("writes");
}

fn name(desk: &Desk) -> String {
    let text = std::fs::read_to_string(desk.dir.path().join("org/org.toml")).expect("reads");
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    name.expect("a name").to_owned()
}

/// The exit code of `bundle diff`, with what it says and complains.
fn diff(desk: &Desk, more: &str) -> (Option<i32>, String, String) {
    let output = desk.output(&format!("bundle diff org {more}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_differs_from_the_running_server_or_a_signed_folder_is_told_with_its_exit_code() {
    let desk = Desk::new();
    desk.prepare();
    let before = name(&desk);
    let (code, _, complaint) = diff(&desk, "");
    assert_eq!(code, Some(2));
    assert!(complaint.contains("is `deskgate-control serve` running"), "{complaint}");
    let _served = desk.serve();
    let (code, _, complaint) = diff(&desk, "");
    assert_eq!(code, Some(2));
    assert!(complaint.starts_with("Nothing is published yet"), "{complaint}");

    desk.says(SIGN);
    desk.says("bundle publish public");
    for against in ["", "--against public"] {
        let told = "Nothing differs from version 1 (epoch 1) of example.\n".to_owned();
        assert_eq!(diff(&desk, against), (Some(0), told, String::new()), "{against}");
    }
    rename(&desk, &before, "Renamed");
    let told = format!(
        "1 difference from version 1 (epoch 1) of example:\n  organisation example is changed\n    name: \"{before}\" becomes \"Renamed\"\nNobody gains or loses anything, by the groups that policies name.\n"
    );
    for against in ["", "--against public"] {
        assert_eq!(diff(&desk, against), (Some(1), told.clone(), String::new()), "{against}");
    }
    let (code, told, _) = diff(&desk, "--json");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((code, told["against"]["version"].as_u64()), (Some(1), Some(1)));
    let expected = serde_json::json!([{
        "what": "organisation", "name": "example", "change": "changed",
        "settings": [{"key": "name", "before": before, "after": "Renamed"}],
    }]);
    assert_eq!(told["differences"], expected);

    std::fs::write(desk.dir.path().join("org/connectors/x.toml"), "title = 1\n").expect("writes");
    let (code, _, complaint) = diff(&desk, "");
    assert_eq!(code, Some(2));
    assert!(complaint.starts_with("connectors/x.toml:1: "), "{complaint}");
}

#[test]
fn a_folder_is_published_forward_and_an_earlier_content_comes_back_as_a_new_version() {
    let desk = Desk::new();
    desk.prepare();
    let first = name(&desk);
    desk.says(SIGN);
    let published: Value =
        serde_json::from_str(&desk.says("--json bundle publish public --to host")).expect("JSON");
    assert_eq!(published["version"], 1);
    let old = desk.dir.path().join("old");
    copy(&desk.dir.path().join("public"), &old);
    rename(&desk, &first, "Renamed");
    desk.says(SIGN);
    assert!(desk.says("bundle publish public --to host").contains("version       2"));
    let complaint = desk.complains("bundle publish old --to host");
    assert!(complaint.contains("manifest version 1 is older than version 2"), "{complaint}");
    assert_eq!(diff(&desk, "--against host").0, Some(0));

    let bundle = published["bundle"].as_str().expect("a digest");
    let back = format!("bundle rollback public --to {bundle} --root root/1.json --key manifest.pem");
    let told = desk.says(&back);
    assert!(told.starts_with("Signed version 3 with the content of version 1, "), "{told}");
    assert!(told.contains(&format!("name: \"Renamed\" becomes \"{first}\"")), "{told}");
    assert!(desk.complains(&back).contains("is what was signed last"));
    assert!(desk.says("bundle publish public --to host").contains("version       3"));
    rename(&desk, "Renamed", &first);
    assert_eq!(diff(&desk, "--against host").0, Some(0));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes");
    for entry in std::fs::read_dir(from).expect("reads") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copies");
        }
    }
}
