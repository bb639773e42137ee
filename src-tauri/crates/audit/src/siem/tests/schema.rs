//! Events against the published schema: OCSF 1.8, as far as the classes go that are written.

use serde_json::{Map, Value};

const SCHEMA: &str = include_str!("../../../testdata/ocsf-1.8.0.json");

/// What is wrong with an event; nothing for a good one.
pub(super) fn faults(event: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let class = event["class_uid"].as_u64().unwrap().to_string();
    let profiles = event["metadata"]["profiles"].as_array().cloned().unwrap_or_default();
    let mut check = Check { schema: &schema, profiles, faults: Vec::new() };
    check.members(&class, event, &schema["classes"][&class]);
    check.faults
}

struct Check<'s> {
    schema: &'s Value,
    profiles: Vec<Value>,
    faults: Vec<String>,
}

impl Check<'_> {
    fn members(&mut self, at: &str, found: &Value, shape: &Value) {
        let (Some(found), Some(attributes)) = (found.as_object(), shape["attributes"].as_object()) else {
            return self.faults.push(format!("{at} is no object, or of no known class"));
        };
        for (name, value) in found {
            match attributes.get(name) {
                Some(attribute) => self.attribute(&format!("{at}.{name}"), value, attribute),
                None => self.faults.push(format!("{at}.{name} does not exist")),
            }
        }
        for (name, attribute) in attributes {
            let is_of_profile =
                attribute["profile"].is_null() || self.profiles.contains(&attribute["profile"]);
            let is_required = attribute["requirement"] == "required" && is_of_profile;
            if is_required && !found.contains_key(name) {
                self.faults.push(format!("{at}.{name} is missing"));
            }
            if let (Some(profile), true) =
                (attribute["profile"].as_str(), found.contains_key(name) && !is_of_profile)
            {
                self.faults.push(format!("{at}.{name} is of the profile {profile}, which is not declared"));
            }
        }
        self.constraints(at, found, &shape["constraints"]);
    }

    fn constraints(&mut self, at: &str, found: &Map<String, Value>, constraints: &Value) {
        if let Some(names) = constraints["at_least_one"].as_array()
            && !names.iter().any(|name| found.contains_key(name.as_str().unwrap()))
        {
            self.faults.push(format!("{at} has none of {names:?}"));
        }
    }

    fn attribute(&mut self, at: &str, found: &Value, attribute: &Value) {
        if attribute["array"] == true {
            match found.as_array() {
                Some(all) => all.iter().for_each(|one| self.value(at, one, attribute)),
                None => self.faults.push(format!("{at} is no list")),
            }
        } else {
            self.value(at, found, attribute);
        }
    }

    fn value(&mut self, at: &str, found: &Value, attribute: &Value) {
        let kind = attribute["type"].as_str().unwrap();
        let object = &self.schema["objects"][kind];
        if kind == "object" || kind == "json_t" {
            return;
        }
        if !object.is_null() {
            return self.members(at, found, &object.clone());
        }
        let base = self.schema["types"][kind]["base"].as_str().unwrap_or(kind);
        let is_right = match base {
            "boolean_t" => found.is_boolean(),
            "integer_t" | "long_t" => found.is_i64() || found.is_u64(),
            "float_t" => found.is_number(),
            _ => found.is_string(),
        };
        if !is_right {
            self.faults.push(format!("{at} is {found}, not {kind}"));
        }
        if let Some(allowed) = attribute["enum"].as_array() {
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            if !allowed.iter().any(|one| one == text.as_str()) {
                self.faults.push(format!("{at} is {text}, not one of {allowed:?}"));
            }
        }
    }
}
