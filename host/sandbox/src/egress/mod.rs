//! What a run may send: the plan's grants intersected once with the operator's policy, then enforced on every
//! request. Opens no connection and resolves no name; `capability::http` asks here before a byte leaves.

pub(crate) mod address;
pub(crate) mod policy;
pub(crate) mod protocol;
mod request;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use url::Url;

use crate::contract::{Grant, SigningScope};
use address::{AddressPolicy, AddressRefused};
use batch_export_system::explain::{Cause, Explain, count};
use batch_export_system::terminal::is_harmful;
use policy::{Place, Policy};
use protocol::{Operation, Reaches};
pub(crate) use request::RequestHead;
use request::origin_of;

/// Most grants in a plan: the S3 destination asks for about ten kinds of request, each on one or two prefixes.
const GRANTS_LIMIT: usize = 64;
/// Most bytes of one text in a grant: a key of 1,024 bytes, each percent-encoded, and a bucket before it.
const GRANT_TEXT_LIMIT_BYTES: usize = 4 << 10;
/// Most query keys or header patterns in one grant; S3 knows fewer that a write may carry.
const GRANT_NAMES_LIMIT: usize = 64;

/// What a run may send, decided once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Grants {
    allowed: Arc<[Allowed]>,
    scopes: Arc<[SigningScope]>,
    addresses: Arc<AddressPolicy>,
}

/// One grant that the policy accepted.
#[derive(Debug)]
struct Allowed {
    operation: String,
    method: http::Method,
    /// Scheme, host and port, in normal form.
    origin: String,
    reach: Reach,
    query: BTreeSet<String>,
    headers: Vec<String>,
}

/// Which paths a grant reaches.
#[derive(Debug)]
enum Reach {
    /// Paths with this beginning, and longer than the root of all keys.
    Keys { path_prefix: String, root: String },
    /// The root of all keys, and only with a value of this query key that begins with one of these.
    Root {
        path: String,
        prefix_key: &'static str,
        key_heads: Vec<String>,
    },
}

/// A grant that the operator's policy does not cover, with the rule that refused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantRefused {
    /// The plan asks for something that no request of an export needs, or in a form that cannot be enforced.
    #[error("the plugin's plan asks for {operation} ({method} {target}): {rule}")]
    Grant {
        /// As the plan names it.
        operation: String,
        /// As the plan writes it.
        method: String,
        /// Origin and path prefix.
        target: String,
        /// The rule that refused it, with what to do where something can be done.
        rule: Cause,
    },
    /// The configured endpoint is an address that is not public.
    #[error(transparent)]
    Address(#[from] AddressRefused),
    /// The plan wants to sign where it has no business.
    #[error(
        "the plugin's plan asks to sign for service `{service}` in region `{region}`: the configuration allows {allowed}"
    )]
    Scope {
        /// As the plan names it.
        service: String,
        /// As the plan names it.
        region: String,
        /// What is allowed.
        allowed: String,
    },
    /// The plan itself is beyond bounds.
    #[error("the plugin's plan contains {found} grants, but the limit is {GRANTS_LIMIT}")]
    TooMany {
        /// How many it holds.
        found: usize,
    },
}

impl Explain for GrantRefused {
    fn hint(&self) -> Option<String> {
        match self {
            GrantRefused::Grant { rule, .. } => rule.hint().or_else(|| Some(UNUSUAL.to_owned())),
            GrantRefused::Address(refused) => refused.hint(),
            GrantRefused::Scope { .. } | GrantRefused::TooMany { .. } => Some(UNUSUAL.to_owned()),
        }
    }
}

/// What to do about a plan that asks for what no export needs.
const UNUSUAL: &str = "do not use this plugin before its author has explained it";

impl Grants {
    /// Returns grants of no request and no key: what the pure exports get.
    pub(crate) fn none() -> Self {
        Grants {
            allowed: Arc::new([]),
            scopes: Arc::new([]),
            addresses: Arc::new(AddressPolicy::default()),
        }
    }

    /// Returns the plan's grants, each of which the policy must cover. A plan that asks for more than the policy allows
    /// is refused as a whole: a run that later fails half-way helps nobody.
    pub fn decide(grants: &[Grant], signing: &[SigningScope], policy: &Policy) -> Result<Grants, GrantRefused> {
        if grants.len() > GRANTS_LIMIT {
            return Err(GrantRefused::TooMany { found: grants.len() });
        }
        let allowed: Vec<Allowed> = grants
            .iter()
            .map(|grant| decide_one(grant, policy))
            .collect::<Result<_, _>>()?;
        for scope in signing {
            if !policy.territory.scopes.contains(scope) {
                return Err(GrantRefused::Scope {
                    service: scope.service.chars().take(64).collect(),
                    region: scope.region.chars().take(64).collect(),
                    allowed: policy
                        .territory
                        .scopes
                        .iter()
                        .map(|s| format!("`{}` in `{}`", s.service, s.region))
                        .collect::<Vec<_>>()
                        .join(", "),
                });
            }
        }
        Ok(Grants {
            allowed: allowed.into(),
            scopes: signing.into(),
            addresses: Arc::clone(&policy.addresses),
        })
    }

    /// Whether the run may sign in this scope.
    pub(crate) fn may_sign(&self, service: &str, region: &str) -> bool {
        self.scopes.iter().any(|s| s.service == service && s.region == region)
    }

    /// Returns the scopes in which the run may sign.
    pub(crate) fn scopes(&self) -> &[SigningScope] {
        &self.scopes
    }

    /// Returns which addresses a granted name may resolve to.
    pub(crate) fn addresses(&self) -> &Arc<AddressPolicy> {
        &self.addresses
    }

    /// Returns the granted hosts with the ports at which they may be reached.
    pub(crate) fn hosts(&self) -> HashMap<String, Vec<u16>> {
        let mut hosts: HashMap<String, Vec<u16>> = HashMap::new();
        for allowed in self.allowed.iter() {
            if let Ok(url) = Url::parse(&allowed.origin)
                && let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default())
            {
                let ports = hosts.entry(host.to_owned()).or_default();
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
        }
        hosts
    }
}

fn decide_one(grant: &Grant, policy: &Policy) -> Result<Allowed, GrantRefused> {
    let refuse = |rule: Cause| GrantRefused::Grant {
        operation: shortened(&grant.operation),
        method: shortened(&grant.method),
        target: shortened(&format!("{}{}", grant.origin, grant.path_prefix)),
        rule,
    };
    let texts = [&grant.operation, &grant.method, &grant.origin, &grant.path_prefix];
    let names = grant.query.iter().chain(&grant.headers);
    if texts.into_iter().chain(names).any(|t| t.len() > GRANT_TEXT_LIMIT_BYTES) {
        let limit = count(GRANT_TEXT_LIMIT_BYTES as u64);
        return Err(refuse(format!("it is longer than {limit} bytes").into()));
    }
    if grant.query.len() > GRANT_NAMES_LIMIT || grant.headers.len() > GRANT_NAMES_LIMIT {
        return Err(refuse(
            format!("it lists more than {GRANT_NAMES_LIMIT} query keys or headers").into(),
        ));
    }
    let method = http::Method::from_bytes(grant.method.as_bytes())
        .map_err(|_| refuse("its method is not an HTTP method".into()))?;
    let query: BTreeSet<String> = grant.query.iter().cloned().collect();
    let operation = policy.protocol.operation(&method, &query);
    let operation = operation.ok_or_else(|| refuse(not_needed(&method, &grant.query).into()))?;
    let mut headers = grant.headers.iter();
    if let Some(pattern) = headers.find(|pattern| !policy.allows_header(pattern)) {
        let header = shortened(pattern);
        return Err(refuse(
            format!("the header `{header}` is not one that an export needs").into(),
        ));
    }
    let origin = request::parse_origin(&grant.origin).map_err(|rule| refuse(rule.into()))?;
    request::check_path(&grant.path_prefix).map_err(|rule| refuse(rule.into()))?;
    let reach = reach(grant, &origin, operation, policy).map_err(refuse)?;
    policy.addresses.check_literal(&origin)?;
    Ok(Allowed {
        operation: grant.operation.clone(),
        method,
        origin: origin_of(&origin),
        reach,
        query,
        headers: grant.headers.clone(),
    })
}

fn not_needed(method: &http::Method, query: &[String]) -> String {
    format!(
        "{method} with the query keys [{}] is not a request that an export needs (those on single objects and uploads are)",
        shortened(&query.join(", "))
    )
}

/// Whether every name that `asked` allows is allowed by `known`; a trailing `*` allows every ending.
fn pattern_covers(known: &str, asked: &str) -> bool {
    match known.strip_suffix('*') {
        Some(stem) => asked.strip_suffix('*').unwrap_or(asked).starts_with(stem),
        None => known == asked,
    }
}

fn reach(grant: &Grant, origin: &Url, operation: &Operation, policy: &Policy) -> Result<Reach, Cause> {
    match operation.reaches {
        Reaches::Keys => {
            let place = find_place(origin, &grant.path_prefix, policy)?;
            Ok(Reach::Keys {
                path_prefix: grant.path_prefix.clone(),
                root: place.root.clone().unwrap_or_default(),
            })
        }
        Reaches::Root { prefix_key } => {
            let written = origin_of(origin);
            let mut places = policy.territory.places.iter();
            if !places.any(|p| p.origin == written && p.is_root(&grant.path_prefix)) {
                return Err("open uploads can only be listed in the configured bucket".into());
            }
            Ok(Reach::Root {
                path: grant.path_prefix.clone(),
                prefix_key,
                key_heads: policy.territory.key_heads.clone(),
            })
        }
    }
}

/// Returns the policy's place that covers origin and path, or the sentence that says what the policy allows instead.
fn find_place<'a>(origin: &Url, path_prefix: &str, policy: &'a Policy) -> Result<&'a Place, Cause> {
    let written = origin_of(origin);
    let at_origin: Vec<&Place> = policy.territory.places.iter().filter(|p| p.origin == written).collect();
    if at_origin.is_empty() {
        let allowed = summary(&policy.territory.places);
        return Err(
            Cause::new(format!("the policy allows only {allowed}")).with_hint(format!(
                "to allow another address, list it under `allow`: allow = [\"{written}/\"]"
            )),
        );
    }
    at_origin
        .iter()
        .find(|p| p.covers(path_prefix))
        .copied()
        .ok_or_else(|| {
            let prefixes: Vec<String> = at_origin
                .iter()
                .filter_map(|p| Some(format!("`{}`", p.path_prefixes.first()?)))
                .collect();
            Cause::new(format!(
                "at this address the policy allows only paths that begin with {} (this run's own keys in the configured bucket and prefix)",
                prefixes.join(" or ")
            ))
        })
}

fn summary(places: &[Place]) -> String {
    let shown = |place: &Place| {
        let path = place.path_prefixes.first().map_or("", String::as_str);
        format!("{}{path}", place.origin)
    };
    match places {
        [] => "nothing".to_owned(),
        [one] => shown(one),
        [one, rest @ ..] => format!("{} and {} more", shown(one), rest.len()),
    }
}

/// Returns a plugin's text for a message: cut, and without control characters.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 200;
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARS)
        .map(|c| if is_harmful(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
