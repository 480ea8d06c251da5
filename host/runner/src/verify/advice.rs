//! What to do about a store's refusal: by its own word where it said one, in the words that the plugin has for it.
//! Decides nothing.

use super::store::is_busy;

pub(super) const NOT_S3: &str =
    "check endpoint_url: something other than an S3 store (a proxy, a web page) seems to respond";
pub(super) const BUCKET: &str = "create the bucket, or check bucket_name, region and endpoint_url";
const REDIRECTED: &str =
    "set region and endpoint_url to where the bucket is: the store redirects, and redirects are not followed";

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
                "check aws_access_key_id and aws_secret_access_key (an answer without a body does not say whether they \
                 are wrong or may not do this); {}",
                permission()
            );
        }
        (400, None) => {
            "renew the credentials if they are temporary, and check region (an answer without a body does not say which \
             of them is wrong)"
        }
        (407, _) => "write the proxy's user and password in its URL",
        (300..=399, _) => REDIRECTED,
        (status, _) if is_busy(status) => "verify again when the store has recovered",
        _ => "check endpoint_url, region and bucket_name",
    };
    hint.to_owned()
}

fn by_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "NoSuchBucket" => BUCKET,
        "SignatureDoesNotMatch" => {
            "check aws_secret_access_key; if a proxy stands before the store, check that it passes path and headers on \
             unchanged"
        }
        "InvalidAccessKeyId" | "InvalidClientTokenId" => {
            "check aws_access_key_id, which this store does not know; if the credentials are temporary, set \
             aws_session_token, too"
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
            "retry later, or set region and endpoint_url to where the bucket is: a new bucket is reached at another \
             endpoint for some hours, and redirects are not followed"
        }
        "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            "check region: the store expects another one"
        }
        "AllAccessDisabled" => "ask the store's operator, who switched off all access to this bucket",
        "InvalidObjectState" => "restore the object from its storage class before it is read",
        _ => return None,
    })
}
