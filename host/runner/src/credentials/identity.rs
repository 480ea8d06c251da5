//! Which identity this machine's credentials stand for, as far as that shows without asking a source: for telling
//! changed settings from unchanged ones. Temporary keys are passed over, because they are renewed all the time.

use std::io::Read;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::ChainOptions;
use super::chosen::Variable;

/// Variables that choose an identity.
const CHOOSING: [&str; 7] = [
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];
/// Variables that are an identity, unless they are temporary.
const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY"];
/// What is read of a profile file.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// Returns everything that tells identities apart; it holds secrets.
pub(crate) fn material(options: &ChainOptions, variable: Variable<'_>) -> Zeroizing<Vec<u8>> {
    let mut material = Zeroizing::new(format!("{options:?}\n").into_bytes());
    let is_temporary = variable("AWS_SESSION_TOKEN").is_some_and(|token| !token.trim().is_empty());
    let keys: &[&str] = if is_temporary { &[] } else { &KEYS };
    for name in CHOOSING.iter().chain(keys) {
        let value = Zeroizing::new(variable(name).unwrap_or_default());
        material.extend_from_slice(name.as_bytes());
        material.push(b'=');
        material.extend_from_slice(value.as_bytes());
        material.push(b'\n');
    }
    for path in profile_files(options, variable) {
        // A file that is not there is an identity, too: the next source's.
        if let Ok(file) = std::fs::File::open(path) {
            file.take(FILE_LIMIT_BYTES).read_to_end(&mut material).ok();
        }
        material.push(0);
    }
    material
}

fn profile_files(options: &ChainOptions, variable: Variable<'_>) -> Vec<PathBuf> {
    if let Some(path) = &options.profile_file {
        return vec![path.clone()];
    }
    let home = variable("HOME").map(PathBuf::from);
    let usual = |name: &str, file: &str| {
        let named = variable(name).map(PathBuf::from);
        named.or_else(|| Some(home.as_ref()?.join(".aws").join(file)))
    };
    [
        usual("AWS_CONFIG_FILE", "config"),
        usual("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_identity_has_other_material_and_a_renewed_one_has_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        let options = ChainOptions {
            profile_file: Some(file.clone()),
            ..ChainOptions::default()
        };
        let of = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            material(&options, &variable).to_vec()
        };
        let id = ("AWS_ACCESS_KEY_ID", "A");
        let key = ("AWS_SECRET_ACCESS_KEY", "canary");
        let before = of(&[id, key]);
        assert_eq!(before, of(&[id, key]));
        assert_ne!(before, of(&[id, ("AWS_SECRET_ACCESS_KEY", "other")]));
        assert_ne!(before, of(&[id, key, ("AWS_PROFILE", "p")]));
        let token = ("AWS_SESSION_TOKEN", "canary");
        assert_eq!(of(&[id, key, token]), of(&[("AWS_ACCESS_KEY_ID", "B"), key, token]));
        std::fs::write(&file, "[default]\naws_access_key_id = C\n").expect("a file");
        assert_ne!(before, of(&[id, key]));
    }
}
