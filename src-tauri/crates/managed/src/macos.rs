//! macOS: managed preferences, which only a configuration profile can set. The system keeps what profiles force in property
//! lists that belong to root, for the computer and for each user; what a user sets lies elsewhere and is not read.
//!
//! Not compiled or run on macOS yet. Reading a property list is tested on every platform.

use std::io::Cursor;

use crate::settings::{Raw, Value};

#[cfg(target_os = "macos")]
pub(crate) fn read() -> Result<Option<crate::Managed>, crate::ManagedFault> {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

    use crate::{DOMAIN, ManagedFault};

    const FOLDER: &str = "/Library/Managed Preferences";
    let unreadable =
        |path: &PathBuf, why: String| ManagedFault::Unreadable { from: path.display().to_string(), why };
    let mut raw = Vec::new();
    let user = std::env::var("USER").ok().filter(|user| !user.contains('/') && !user.starts_with('.'));
    // What is forced for the user comes later, so it wins.
    let places = [Some(PathBuf::from(FOLDER)), user.map(|user| PathBuf::from(FOLDER).join(user))];
    for path in places.into_iter().flatten().map(|folder| folder.join(format!("{DOMAIN}.plist"))) {
        let about = match std::fs::symlink_metadata(&path) {
            Ok(about) => about,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => continue,
            Err(fault) => return Err(unreadable(&path, fault.to_string())),
        };
        if !about.is_file() || about.uid() != 0 || about.mode() & 0o022 != 0 {
            return Err(ManagedFault::NotTheAdministrators { path, how: "is not root's alone" });
        }
        let bytes = std::fs::read(&path).map_err(|fault| unreadable(&path, fault.to_string()))?;
        let from = path.display().to_string();
        raw.extend(
            entries(&bytes, &from).ok_or(ManagedFault::Malformed {
                from,
                why: "it is no property list of settings".to_owned(),
            })?,
        );
    }
    crate::Managed::parse("managed preferences", raw)
}

/// The settings in a property list, XML or binary. `None` if it is none. What the system adds about the profile (`Payload…`)
/// is no setting.
pub(crate) fn entries(bytes: &[u8], from: &str) -> Option<Vec<Raw>> {
    let list = plist::Value::from_reader(Cursor::new(bytes)).ok()?.into_dictionary()?;
    let settings = list.into_iter().filter(|(name, _)| !name.starts_with("Payload"));
    Some(settings.map(|(name, value)| Raw { name, value: typed(value), from: from.to_owned() }).collect())
}

fn typed(value: plist::Value) -> Value {
    if let Some(flag) = value.as_boolean() {
        return Value::Flag(flag);
    }
    if let Some(number) = value.as_unsigned_integer() {
        return Value::Number(number);
    }
    if let Some(items) = value.as_array() {
        let texts = items.iter().map(|item| item.as_string().map(str::to_owned));
        return texts.collect::<Option<_>>().map_or(Value::Other, Value::List);
    }
    value.into_string().map_or(Value::Other, Value::Text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Managed;

    #[test]
    fn managed_preferences_are_read_as_a_profile_leaves_them() {
        let list = r#"<?xml version="1.0" encoding="UTF-8"?>
            <plist version="1.0"><dict>
              <key>PayloadUUID</key><string>0</string>
              <key>SupportURL</key><string>https://help.acme.test/</string>
              <key>Autostart</key><true/>
              <key>AllowUserOverride</key><integer>0</integer>
              <key>HiddenMenuItems</key><array><string>quit</string></array>
            </dict></plist>"#;
        let managed =
            Managed::parse("a profile", entries(list.as_bytes(), "a list").unwrap()).unwrap().unwrap();
        assert_eq!(managed.settings.autostart, Some(true));
        assert_eq!(managed.settings.allow_user_override, Some(false));
        assert_eq!(managed.settings.hidden_menu_items.len(), 1);
        assert_eq!(managed.from.len(), 4);
    }

    #[test]
    fn what_is_no_property_list_of_settings_is_none() {
        assert!(entries(b"hello", "x").is_none());
        assert!(entries(br#"<plist version="1.0"><array/></plist>"#, "x").is_none());
        let dated = r#"<plist version="1.0"><dict><key>Autostart</key><date>2026-01-01T00:00:00Z</date></dict></plist>"#;
        assert!(Managed::parse("x", entries(dated.as_bytes(), "x").unwrap()).is_err());
    }
}
