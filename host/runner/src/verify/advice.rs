//! What to do about a store's refusal: by its error code where it sent one, in the words that the plugin uses for the
//! same code (a test of the suite compares them). Decides nothing.

use super::status::is_busy;

pub(super) const NOT_S3: &str = "check endpoint_url: the response seems to come from something other than an S3 store, such as a proxy or a website";
pub(super) const BUCKET: &str = "create the bucket, or check bucket_name, region and endpoint_url";
const REDIRECTED: &str =
    "set region and endpoint_url to the bucket's location: the store redirects, and redirects are not followed";

/// Returns what to do about a refusal to read an object: `place` is its bucket and key.
pub(super) fn on_refusal(status: u16, code: Option<&str>, place: &str) -> String {
    let permission = || format!("grant s3:GetObject on `{place}`, and check that no policy of the bucket denies it");
    if let Some(hint) = code.and_then(by_code) {
        return hint.to_owned();
    }
    let hint = match (status, code) {
        (_, Some("AccessDenied" | "Forbidden")) => return permission(),
        (403, None) => {
            return format!(
                "check aws_access_key_id and aws_secret_access_key (a response without a body does not say whether \
                 they are wrong or lack a permission); {}",
                permission()
            );
        }
        (400, None) => {
            "renew the credentials if they are temporary, and check region (a response without a body does not say \
             which of them is wrong)"
        }
        (407, _) => {
            "check endpoint_url: it names a proxy, which belongs in `proxy` in the destination's `egress` table"
        }
        (300..=399, _) => REDIRECTED,
        (status, _) if is_busy(status) => "verify again when the store has recovered",
        _ => "check endpoint_url, region and bucket_name",
    };
    hint.to_owned()
}

fn by_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "KMS.ThrottlingException" => return None,
        _ if code.starts_with("KMS.") => {
            "grant kms:GenerateDataKey and kms:Decrypt on the key, and check that kms_key_id names an enabled key in \
             the bucket's region"
        }
        "InvalidBucketName" => {
            "check bucket_name; if the store has its own endpoint, set use_virtual_style_addressing = false"
        }
        "AccountProblem" => "check the account's billing status",
        "MethodNotAllowed" => "check endpoint_url and use_virtual_style_addressing: the address is not a bucket's",
        "NoSuchBucket" => BUCKET,
        "SignatureDoesNotMatch" => {
            "check aws_secret_access_key; if there is a proxy in front of the store, check that it forwards path and \
             headers unchanged"
        }
        "InvalidAccessKeyId" | "InvalidClientTokenId" => {
            "check aws_access_key_id, which the store does not recognize; if the credentials are temporary, set \
             aws_session_token as well"
        }
        "InvalidToken" => "check aws_session_token, which does not belong to this access key",
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            "renew the temporary credentials at their source"
        }
        "RequestTimeTooSkewed" => {
            "correct this machine's clock, which differs from the store's by more than 15 minutes"
        }
        "PermanentRedirect" => REDIRECTED,
        "TemporaryRedirect" => {
            "retry later, or set region and endpoint_url to the bucket's location: a new bucket is served from another \
             endpoint for some hours, and redirects are not followed"
        }
        "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            "check region: the store expects a different one"
        }
        "AllAccessDisabled" => "ask the store's operator, who has disabled all access to this bucket",
        "InvalidObjectState" => "restore the object from its storage class before reading it",
        _ => return None,
    })
}
