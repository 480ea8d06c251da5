//! What can happen to a request on its way; what comes of it is the simulator's.

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Never arrives.
    Unconnected,
    /// Never leaves: a rule or limit of the host, in its words.
    Forbidden(&'static str, &'static str),
    /// Arrives, and its answer does not.
    AnswerLost,
    AnswerLate,
    /// Arrives twice; the second answer comes.
    Twice,
    /// An error without effect.
    Error(u16, &'static str),
    /// An error with effect.
    ErrorAfter(u16, &'static str),
    /// A web page without effect.
    Page(u16),
    /// A web page with effect.
    PageAfter(u16),
    /// The answer names an ETag that is not the part's.
    WrongEtag,
}

/// Decides the fault of each request from its operation and how many of that operation there were.
pub type Faults = Box<dyn FnMut(&'static str, usize) -> Option<Fault>>;

pub fn no_faults() -> Faults {
    Box::new(|_, _| None)
}
