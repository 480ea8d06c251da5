//! JSON pointers (RFC 6901) into a destination or a configuration file, and how they are written for people.

/// Returns the pointer to a key or an index inside of what a pointer points at.
pub(crate) fn join(pointer: &str, key: &str) -> String {
    match key {
        "" => pointer.to_owned(),
        key => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
    }
}

/// Returns the pointer that a plugin's name of a field means, such as `tags.team` or `include_events[1]`.
pub(crate) fn of_field(field: &str) -> String {
    let keys = field.split(['.', '[']).map(|key| key.trim_end_matches(']'));
    keys.fold(String::new(), |pointer, key| join(&pointer, key))
}

/// Returns the keys of a pointer, outermost first.
pub(crate) fn keys(pointer: &str) -> impl Iterator<Item = String> {
    let keys = pointer.split('/').skip(1);
    keys.map(|key| key.replace("~1", "/").replace("~0", "~"))
}

/// Returns the pointer as people write it: `destinations.archive.egress.allow[0]`.
pub(crate) fn dotted(pointer: &str) -> String {
    let mut dotted = String::new();
    for key in keys(pointer) {
        let is_index = !dotted.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
        match is_index {
            true => dotted.push_str(&format!("[{key}]")),
            false if dotted.is_empty() => dotted.push_str(&key),
            false => dotted.push_str(&format!(".{key}")),
        }
    }
    dotted
}

/// Returns whether a pointer points at the same as another, or at something inside of it.
pub(crate) fn is_within(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_fields_name_the_same() {
        for (field, pointer) in [
            ("", ""),
            ("region", "/region"),
            ("tags.team", "/tags/team"),
            ("include_events[1]", "/include_events/1"),
        ] {
            assert_eq!(of_field(field), pointer);
            assert_eq!(dotted(pointer), field);
        }
        assert_eq!(join("/a", "b/c~d"), "/a/b~1c~0d");
        assert_eq!(keys("/a/b~1c~0d").collect::<Vec<_>>(), ["a", "b/c~d"]);
    }

    #[test]
    fn what_is_inside_is_told_by_whole_keys() {
        for (inner, outer, expect) in [
            ("/a/b", "/a", true),
            ("/a", "/a", true),
            ("/ab", "/a", false),
            ("/a", "", true),
        ] {
            assert_eq!(is_within(inner, outer), expect, "{inner} in {outer}");
        }
    }
}
