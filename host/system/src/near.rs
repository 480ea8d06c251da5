//! Typing mistakes. Knows no word by itself.

/// Returns the one of `known` that `written` was probably meant to be.
pub fn near_miss<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Two slips in a short name or one in three letters of a long one is a typing mistake; more is another word.
    let tolerated = (written.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, name)| *distance <= tolerated && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_near() {
        let known = ["bucket_name", "region", "prefix", "source"];
        for (written, expect) in [
            ("bucket", None),
            ("bucketname", Some("bucket_name")),
            ("regoin", Some("region")),
            ("sorce", Some("source")),
            ("password", None),
        ] {
            assert_eq!(near_miss(written, known), expect, "{written}");
        }
    }
}
