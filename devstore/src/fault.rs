//! The fault plan: rules that say which requests go wrong and how; never carries a fault out.

use std::sync::{Mutex, PoisonError};

use crate::operation::{Operation, Target};

/// One rule: the requests it matches, which of those it strikes, and what happens to them.
#[derive(Debug, Clone)]
pub struct Fault {
    operation: Option<Operation>,
    key_contains: Option<String>,
    strike: Strike,
    what: What,
}

/// Which of the matching requests a rule strikes; they are counted from 1 in the order of arrival.
#[derive(Debug, Clone, Copy)]
enum Strike {
    Always,
    Nth(u64),
    First(u64),
    Every(u64),
    /// A share of them, decided by the seed and the request's number alone.
    Share {
        share: f64,
        seed: u64,
    },
}

/// What happens to a request that a rule strikes. "Effect" is what the operation does to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// This status with an S3 error body of this code; no effect. The request body is read first.
    Status(u16, String),
    /// Wait this many milliseconds, then continue as usual.
    Delay(u64),
    /// Close the connection; no effect.
    CutBeforeEffect,
    /// Carry the operation out, then close the connection without an answer.
    CutAfterEffect,
    /// Never answer and have no effect; ends when the client goes away.
    Hang,
    /// Carry the operation out, but close the connection in the middle of the answer's body.
    TruncatedBody,
    /// Status 200 with an S3 error of this code as body; no effect.
    OkWithErrorBody(String),
    /// Carry the operation out, but answer the ETag of something else (in the header and in XML).
    WrongETag,
    /// Carry the operation out, but answer bytes that are not what was asked for.
    GarbageBody,
}

impl Fault {
    /// Every request is struck by `what`, until narrowed by the methods below.
    pub fn always(what: What) -> Self {
        Self {
            operation: None,
            key_contains: None,
            strike: Strike::Always,
            what,
        }
    }

    /// Every request of `operation` is struck by `what`, until narrowed by the methods below.
    pub fn on(operation: Operation, what: What) -> Self {
        Self {
            operation: Some(operation),
            ..Self::always(what)
        }
    }

    /// Only requests whose key contains `text`.
    pub fn key_contains(mut self, text: impl Into<String>) -> Self {
        self.key_contains = Some(text.into());
        self
    }

    /// Only the `n`th matching request, counted from 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.strike = Strike::Nth(n);
        self
    }

    /// Only the first `n` matching requests.
    pub fn first(mut self, n: u64) -> Self {
        self.strike = Strike::First(n);
        self
    }

    /// Every `n`th matching request: `every(3)` strikes the third, the sixth and so on. 0 strikes none.
    pub fn every(mut self, n: u64) -> Self {
        self.strike = Strike::Every(n);
        self
    }

    /// A share (0.0 to 1.0) of the matching requests, the same ones for the same seed.
    pub fn share(mut self, share: f64, seed: u64) -> Self {
        self.strike = Strike::Share { share, seed };
        self
    }

    fn matches(&self, target: &Target) -> bool {
        self.operation.is_none_or(|operation| operation == target.operation)
            && self
                .key_contains
                .as_ref()
                .is_none_or(|text| target.key.as_ref().is_some_and(|key| key.contains(text)))
    }

    fn strikes(&self, count: u64) -> bool {
        match self.strike {
            Strike::Always => true,
            Strike::Nth(n) => count == n,
            Strike::First(n) => count <= n,
            Strike::Every(n) => n != 0 && count.is_multiple_of(n),
            Strike::Share { share, seed } => unit_interval(seed.wrapping_add(count)) < share,
        }
    }
}

/// A number in [0, 1) from a seed: one step of SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
fn unit_interval(seed: u64) -> f64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}

/// The rules in force, each with the requests it has matched so far.
#[derive(Debug, Default)]
pub(crate) struct Plan(Mutex<Vec<(Fault, u64)>>);

impl Plan {
    pub fn new(faults: Vec<Fault>) -> Self {
        let plan = Self::default();
        plan.replace(faults);
        plan
    }

    /// Replaces the rules; occurrences are counted from zero again.
    pub fn replace(&self, faults: Vec<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults.into_iter().map(|fault| (fault, 0)).collect();
    }

    /// What happens to this request: the first rule that strikes decides; every matching rule counts it.
    pub fn decide(&self, target: &Target) -> Option<What> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decided = None;
        for (fault, count) in rules.iter_mut().filter(|(fault, _)| fault.matches(target)) {
            *count += 1;
            if decided.is_none() && fault.strikes(*count) {
                decided = Some(fault.what.clone());
            }
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(operation: Operation, key: &str) -> Target {
        Target {
            operation,
            bucket: Some("b".into()),
            key: Some(key.into()),
        }
    }

    #[test]
    fn rules_strike_the_requests_they_name_and_no_others() {
        let part = |fault: Fault| fault.key_contains("k");
        let cases = [
            (part(Fault::on(Operation::UploadPart, What::Hang)), [true; 6]),
            (
                part(Fault::on(Operation::UploadPart, What::Hang)).nth(2),
                [false, true, false, false, false, false],
            ),
            (
                part(Fault::on(Operation::UploadPart, What::Hang)).first(2),
                [true, true, false, false, false, false],
            ),
            (
                part(Fault::on(Operation::UploadPart, What::Hang)).every(3),
                [false, false, true, false, false, true],
            ),
            (Fault::always(What::Hang).every(0), [false; 6]),
            (Fault::on(Operation::PutObject, What::Hang), [false; 6]),
            (Fault::always(What::Hang).key_contains("other"), [false; 6]),
            (Fault::always(What::Hang).share(0.0, 1), [false; 6]),
            (Fault::always(What::Hang).share(1.0, 1), [true; 6]),
        ];
        for (fault, expected) in cases {
            let plan = Plan::new(vec![fault.clone()]);
            let struck = std::array::from_fn(|_| plan.decide(&target(Operation::UploadPart, "key")).is_some());
            assert_eq!(struck, expected, "{fault:?}");
        }
    }

    #[test]
    fn a_share_is_met_and_follows_from_the_seed() {
        let strikes = |seed| -> Vec<bool> {
            let plan = Plan::new(vec![Fault::always(What::CutBeforeEffect).share(0.2, seed)]);
            (0..2000)
                .map(|_| plan.decide(&target(Operation::GetObject, "k")).is_some())
                .collect()
        };
        let count = strikes(7).iter().filter(|struck| **struck).count();
        assert!((300..500).contains(&count), "{count} of 2000 at a share of 0.2");
        assert_eq!(strikes(7), strikes(7));
        assert_ne!(strikes(7), strikes(8));
    }
}
