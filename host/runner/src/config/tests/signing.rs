//! What signs: keys or the host's credentials by name, and values that must not be empty, half or shown.

use super::*;

/// A destination that lacks nothing but what signs, with these lines of it.
fn signed_by(lines: &str) -> String {
    format!("[destinations.a]\nmodel = \"events\"\nsource = {{ type = \"sample\" }}\n{lines}\n")
}

#[test]
fn a_destination_signs_with_keys_or_with_the_hosts_credentials_by_name() {
    let config = |lines: &str| match parse(&signed_by(lines)) {
        Ok(config) => config.destination(None).expect("one").credentials.clone(),
        Err(error) => panic!("{lines}: {error}"),
    };
    for (lines, token) in [
        (
            "aws_access_key_id = \"A/B+C=\"\naws_secret_access_key = \"${env:KEY}\"",
            None,
        ),
        (
            "aws_access_key_id = \"A\"\naws_secret_access_key = \"K\"\naws_session_token = \"${env:KEY}\"",
            Some("canary-4711"),
        ),
    ] {
        let CredentialSettings::Keys(keys) = config(lines) else {
            panic!("{lines}");
        };
        assert_eq!(keys.session_token.as_ref().map(|t| t.expose()), token);
    }
    for (lines, profile) in [
        ("credentials = { source = \"host\" }", None),
        (
            "credentials = { source = \"host\", profile = \"exports\" }",
            Some("exports"),
        ),
        (
            "[destinations.a.credentials]\nsource = \"host\"\nrole_arn = \"arn:aws:iam::111122223333:role/r\"\nsts_endpoint_url = \"https://sts.internal\"",
            None,
        ),
    ] {
        let CredentialSettings::Host(options) = config(lines) else {
            panic!("{lines}");
        };
        assert_eq!(options.profile.as_deref(), profile);
    }
}

/// Nothing that is missing, empty or half there is another identity, and nothing of a key is repeated.
#[test]
fn keys_that_are_missing_empty_or_spoilt_are_refused_where_they_stand() {
    let ways = "give aws_access_key_id and aws_secret_access_key, such as \"${env:NAME}\", or write credentials = { source = \"host\" } to sign with this machine's own credentials (environment, profile, role, metadata)";
    let id = "aws_access_key_id = \"A\"\n";
    let key = "aws_secret_access_key = \"canary\"\n";
    let spoilt = |value: &str| format!("{id}aws_secret_access_key = {value}");
    let faults = [
        ("\"canary\\n\"", "ends with a line break"),
        ("\"canary\\r\\n\"", "ends with a line break"),
        ("\"\"\"canary\ncanary\"\"\"", "has a line break in it"),
        ("\"${env:KEY_AND_BREAK}\"", "ends with a line break"),
        ("\" canary\"", "begins with a blank"),
        ("\"canary\\t\"", "ends with a blank"),
        ("\"canary\u{a0}\"", "ends with a blank"),
        ("\"canary canary\"", "has a blank in it"),
        ("\"canary\\u0000\"", "has a control character in it"),
        ("\"canary\\u0085\"", "ends with a blank"),
        ("\"canary\u{200b}\"", "has a character in it that is not ASCII"),
        ("\"canäry\"", "has a character in it that is not ASCII"),
    ];
    let mut cases: Vec<(String, Vec<String>)> = faults
        .map(|(value, fault)| {
            let said = format!("5:25: destinations.a.aws_secret_access_key: {fault}; correct it where it comes from");
            (spoilt(value), vec![said])
        })
        .into();
    cases.extend([
        (String::new(), vec![format!("1:15: destinations.a.credentials: missing; {ways}")]),
        (
            "aws_acces_key_id = \"A\"".to_owned(),
            vec![format!("1:15: destinations.a.credentials: missing; correct `aws_acces_key_id`, or {ways}")],
        ),
        (
            id.to_owned(),
            vec!["4:1: destinations.a.aws_secret_access_key: missing, although aws_access_key_id is set; set both, or neither".to_owned()],
        ),
        (
            format!("{key}aws_access_keyid = \"A\""),
            vec!["4:1: destinations.a.aws_access_key_id: missing, although aws_secret_access_key is set; did you mean `aws_access_key_id` by `aws_access_keyid`?".to_owned()],
        ),
        (
            "aws_session_token = \"canary\"".to_owned(),
            vec!["4:1: destinations.a.aws_session_token: set without aws_access_key_id and aws_secret_access_key, which it belongs to; set all three, or none".to_owned()],
        ),
        (
            "aws_access_key_id = \"\"\naws_secret_access_key = \" \"".to_owned(),
            vec![
                "4:21: destinations.a.aws_access_key_id: empty; give a value, or remove the line".to_owned(),
                "5:25: destinations.a.aws_secret_access_key: empty; give a value, or remove the line".to_owned(),
            ],
        ),
        (
            "aws_access_key_id = \"${env:EMPTY}\"\naws_secret_access_key = \"${env:BLANK}\"".to_owned(),
            vec![
                "4:21: destinations.a.aws_access_key_id: the environment variable EMPTY is set, but empty; give it a value, or write the value here".to_owned(),
                "5:25: destinations.a.aws_secret_access_key: the environment variable BLANK is set, but empty; give it a value, or write the value here".to_owned(),
            ],
        ),
        (
            format!("{id}{key}aws_session_token = \"${{env:EMPTY}}\""),
            vec!["6:21: destinations.a.aws_session_token: the environment variable EMPTY is set, but empty; give it a value, or write the value here".to_owned()],
        ),
        (
            format!("{id}{key}aws_session_token = \"\""),
            vec!["6:21: destinations.a.aws_session_token: empty; give a value, or remove the line".to_owned()],
        ),
        (
            format!("{id}{key}credentials = {{ source = \"host\" }}"),
            vec!["6:1: destinations.a.credentials: set together with keys (aws_…), but only one of the two can be \
                  used for signing; remove the other".to_owned()],
        ),
        (
            format!("{id}aws_secret_access_key = 5"),
            vec!["5:25: destinations.a.aws_secret_access_key: expected a string, found an integer".to_owned()],
        ),
        (
            "credentials = {}".to_owned(),
            vec!["4:1: destinations.a.credentials.source: missing; write source = \"host\" to sign with this machine's own credentials".to_owned()],
        ),
        (
            "credentials = { source = \"hots\" }".to_owned(),
            vec!["4:26: destinations.a.credentials.source: `hots` is not a valid value; did you mean `host`?; allowed: host".to_owned()],
        ),
        (
            "credentials = { source = \"host\", profile = \"${env:EMPTY}\" }".to_owned(),
            vec!["4:44: destinations.a.credentials.profile: the environment variable EMPTY is set, but empty; give it a value, or write the value here".to_owned()],
        ),
        (
            "credentials = { source = \"host\", role_arn = \"foo\", external_id = \"1\" }".to_owned(),
            vec!["4:45: destinations.a.credentials.role_arn: `foo` is not the ARN of a role; write it like arn:aws:iam::111122223333:role/exports".to_owned()],
        ),
        (
            "credentials = { source = \"host\", role_arn = \"\" }".to_owned(),
            vec!["4:45: destinations.a.credentials.role_arn: empty; give a value, or remove the line".to_owned()],
        ),
        (
            "credentials = { source = \"host\", role_arn = \"arn:aws:iam::111122223333:role/r\", sts_endpoint_url = \"https://user:canary@sts\" }".to_owned(),
            vec!["4:100: destinations.a.credentials.sts_endpoint_url: not a valid server address; write it like \
                  https://sts.eu-central-1.amazonaws.com".to_owned()],
        ),
    ]);
    for (lines, expect) in cases {
        assert_eq!(problems(&signed_by(&lines)), expect, "{lines}");
    }
}

/// What a variable holds may be a secret wherever it was put: no message repeats it.
#[test]
fn nothing_that_a_variable_held_is_repeated() {
    let with = |line: &str| signed_by(&format!("credentials = {{ source = \"host\" }}\n{line}"));
    let cases = [
        (
            with("check = \"${env:KEY}\""),
            "5:9: destinations.a.check: `${env:KEY}` is not a valid value; allowed: automatic, on_request",
        ),
        (
            with("egress = { allow = [\"ftp://${env:KEY}/\"] }"),
            "5:21: destinations.a.egress.allow[0]: `allow`: `ftp://${env:KEY}/` is neither http nor https; use for \
             example \"https://proxy.internal:8443/bucket/exports/\"",
        ),
        (
            with("egress = { proxy = \"${env:KEY}\" }"),
            "5:20: destinations.a.egress.proxy: not a valid proxy URL; write it like http://proxy.example.com:3128",
        ),
        (
            with("").replace("\"events\"", "\"${env:KEY} \""),
            "2:9: destinations.a.model: `${env:KEY} ` is not a valid model name; use events, persons or sessions, or \
             with a files source another name made of letters, digits, `-` and `_`",
        ),
        (
            with("").replace("\"sample\"", "\"${env:KEY}\""),
            "3:19: destinations.a.source.type: `${env:KEY}` is not a valid value; allowed: sample, files, command, clickhouse, postgres",
        ),
    ];
    for (text, expect) in cases {
        assert_eq!(problems(&text), [expect], "{text}");
    }
    // What the plugin says of its fields passes the same way.
    let config = parse(&with("region = \"${env:KEY}\"\ntags = { team = \"x-${env:KEY}\" }")).expect("valid");
    let fields = &config.destination(None).expect("one").configuration;
    for (field, said, expect) in [
        (
            "region",
            "`canary-4711` is not a region",
            "`${env:KEY}` is not a region",
        ),
        (
            "region",
            "`canary-47 …` is not a region",
            "`${env:KEY}` is not a region",
        ),
        (
            "region",
            "canary-4711 is not a region",
            "the value of `${env:KEY}` is not allowed",
        ),
        ("region", "`canary-4711` has a `c`", "`${env:KEY}` has a `…`"),
        ("tags.team", "`x-canary 4711` is too long", "`x-${env:KEY}` is too long"),
        ("prefix", "goes not with `canary-4711`", "goes not with `${env:KEY}`"),
        ("prefix", "is missing", "is missing"),
    ] {
        assert_eq!(fields.redacted(field, said), expect);
    }
}

/// Stores other than AWS have roles without an account, or take any text of an ARN's form.
#[test]
fn a_role_may_be_that_of_any_store() {
    for role in [
        "arn:aws:iam::111122223333:role/exports",
        "arn:aws-us-gov:iam::111122223333:role/team/exports",
        "arn:aws:iam:::role/exports",
        "arn:aws:iam::RGW11111111111111111:role/S3Access1",
        "arn:xxx:xxx:xxx:xxxx",
    ] {
        let text = signed_by(&format!(
            "credentials = {{ source = \"host\", role_arn = \"{role}\", sts_endpoint_url = \"https://store.internal\" }}"
        ));
        assert!(parse(&text).is_ok(), "{role}: {:?}", problems(&text));
    }
}
