//! The plugin's fields of a destination: values, and apart from them the texts that may be secret. Checks no field; the
//! plugin does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::SecretText;
use crate::pointer;

/// What a plugin is configured with. `Debug` shows the fields' names only.
#[derive(Clone, Default)]
pub struct Configuration {
    values: Map<String, Value>,
    /// By JSON pointer.
    secrets: BTreeMap<String, SecretText>,
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl From<Map<String, Value>> for Configuration {
    fn from(values: Map<String, Value>) -> Self {
        Configuration {
            values,
            secrets: BTreeMap::new(),
        }
    }
}

impl Configuration {
    /// Adds a text that may be secret, by the JSON pointer of its field. Inside of a list or an object it takes the
    /// place of a value that is there, such as null.
    #[must_use]
    pub fn with_secret(mut self, pointer: impl Into<String>, text: SecretText) -> Self {
        self.secrets.insert(pointer.into(), text);
        self
    }

    /// Returns the names of all fields, each once.
    pub fn names(&self) -> BTreeSet<String> {
        let secrets = self.secrets.keys().filter_map(|pointer| top(pointer));
        self.values.keys().cloned().chain(secrets).collect()
    }

    /// Returns a field's text; the plugin's own secrets are among them, so it is for naming a place only.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.values.get(field) {
            Some(value) => value.as_str(),
            None => self.secrets.get(&pointer::join("", field)).map(SecretText::value),
        }
    }

    /// Returns the configuration for the plugin, without the fields named in `withheld`, and the names of those of them
    /// that are no texts: such a secret stays away from the plugin too.
    pub(crate) fn open(&self, withheld: &BTreeSet<String>) -> (Value, Vec<String>) {
        let mut open = Map::new();
        let mut mistyped = Vec::new();
        for (name, value) in &self.values {
            if !withheld.contains(name) {
                open.insert(name.clone(), value.clone());
            } else if !value.is_string() {
                mistyped.push(name.clone());
            }
        }
        let mut open = Value::Object(open);
        for (pointer, text) in &self.secrets {
            let Some(name) = top(pointer).filter(|name| !withheld.contains(name)) else {
                continue;
            };
            let value = Value::from(text.value());
            if let Some(there) = open.pointer_mut(pointer) {
                *there = value;
            } else if let Some(fields) = open.as_object_mut() {
                fields.insert(name, value);
            }
        }
        (open, mistyped)
    }

    /// Returns what the plugin says about a field, without any secret.
    pub(crate) fn redacted(&self, field: &str, message: &str) -> String {
        let own = top(&pointer::of_field(field)).unwrap_or_default();
        let is_own = |pointer: &str| top(pointer).is_some_and(|name| name == own);
        let mut message = message.to_owned();
        for (_, text) in self.secrets.iter().filter(|(pointer, _)| is_own(pointer)) {
            message = text.redacted(&message);
        }
        // A message about one field may quote another.
        for text in self.secrets.values() {
            if text.is_told_by(&message) {
                message = text.redacted(&message);
            }
        }
        message
    }
}

/// Returns the field that a pointer is about.
fn top(pointer: &str) -> Option<String> {
    pointer::keys(pointer).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_sandbox::Secret;
    use serde_json::json;

    fn secret(value: &str) -> SecretText {
        SecretText::new(Secret::new(value), Some("(hidden)".to_owned()))
    }

    fn configuration() -> Configuration {
        let Value::Object(values) = json!({"region": "auto", "tags": {"team": null}, "size": 5}) else {
            return Configuration::default();
        };
        Configuration::from(values)
            .with_secret("/password", secret("canary-4711"))
            .with_secret("/tags/team", secret("canary-4712"))
    }

    #[test]
    fn what_the_plugin_may_not_see_is_withheld() {
        let withheld = BTreeSet::from(["password".to_owned(), "size".to_owned()]);
        let (open, mistyped) = configuration().open(&withheld);
        assert_eq!(open, json!({"region": "auto", "tags": {"team": "canary-4712"}}));
        assert_eq!(mistyped, ["size"]);
        let (open, mistyped) = configuration().open(&BTreeSet::new());
        assert_eq!(open["password"], "canary-4711");
        assert!(mistyped.is_empty());
        assert_eq!(configuration().text("password"), Some("canary-4711"));
        assert_eq!(configuration().text("region"), Some("auto"));
    }

    #[test]
    fn no_message_and_no_debug_print_tells_a_secret() {
        let shown = format!("{:?}", configuration());
        assert_eq!(shown, r#"["password", "region", "size", "tags"]"#);
        for field in ["password", "region", "tags.team", ""] {
            let said = configuration().redacted(field, "`canary-4711` and `canary-4712` are odd");
            assert_eq!(said, "`(hidden)` and `(hidden)` are odd", "{field}");
        }
    }
}
