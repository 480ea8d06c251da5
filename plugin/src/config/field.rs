//! What a field of the configuration is: its name, what it takes, and where a form shows it. Decides nothing.

/// One field of the configuration.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// The part of a form that it belongs to.
    pub group: FieldGroup,
    pub kind: FieldKind,
    pub required: bool,
    /// What leaving the field out (or `null`) means; `None` where no value says it.
    pub default: Option<Literal>,
    pub title: &'static str,
    pub description: &'static str,
    pub examples: &'static [Literal],
}

/// The parts of a form, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldGroup {
    /// Which bucket, where, and whose keys.
    Connection,
    /// The objects: names, sizes, and what the store keeps with them.
    Files,
    /// What is in the files.
    Format,
    /// Encryption, checksums and signatures.
    Integrity,
    /// Which rows are exported, and what happens to what is there.
    Behaviour,
}

impl FieldGroup {
    /// As the schema names it.
    pub fn name(self) -> &'static str {
        match self {
            FieldGroup::Connection => "connection",
            FieldGroup::Files => "files",
            FieldGroup::Format => "format",
            FieldGroup::Integrity => "integrity",
            FieldGroup::Behaviour => "behaviour",
        }
    }
}

/// What a field takes.
#[derive(Debug)]
pub enum FieldKind {
    /// Any text; rules of its own are checked where the settings are decided.
    Text,
    /// One of these, exactly as written.
    Choice(&'static [Choice]),
    /// A whole number within the bounds.
    Whole { min: i64, max: i64 },
    /// `true` or `false`.
    Flag,
    /// A list of texts.
    TextList,
    /// Texts by name, at most so many.
    TextMap { max_entries: usize },
    /// Text that the host keeps; its value is never read here.
    Secret,
}

/// One value of a [`FieldKind::Choice`] and what it means.
#[derive(Debug)]
pub struct Choice {
    pub value: &'static str,
    pub meaning: &'static str,
}

/// A default or an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    Text(&'static str),
    Whole(i64),
    Flag(bool),
    List(&'static [&'static str]),
    Map(&'static [(&'static str, &'static str)]),
}

/// An optional field of this group, for the table of fields to complete.
pub(super) const fn optional(group: FieldGroup) -> Field {
    Field {
        name: "",
        group,
        kind: FieldKind::Text,
        required: false,
        default: None,
        title: "",
        description: "",
        examples: &[],
    }
}

/// A value of a choice and its meaning.
pub(super) const fn choice(value: &'static str, meaning: &'static str) -> Choice {
    Choice { value, meaning }
}
