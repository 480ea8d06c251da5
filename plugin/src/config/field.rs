//! The definition of a configuration field: its name, the values it accepts, and its place in a form. Decides nothing.

/// One field of the configuration.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// The section of a form that it belongs to.
    pub group: FieldGroup,
    pub kind: FieldKind,
    pub required: bool,
    /// The value that an omitted field (or `null`) stands for; `None` if there is no such value.
    pub default: Option<Literal>,
    pub title: &'static str,
    pub description: &'static str,
    pub examples: &'static [Literal],
}

/// The sections of a form, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldGroup {
    /// The bucket, its location and the credentials.
    Connection,
    /// The objects: names, sizes, and what the store keeps with them.
    Files,
    /// The contents of the files.
    Format,
    /// Encryption, checksums and signatures.
    Integrity,
    /// Which rows are exported, and what happens to existing objects.
    Behaviour,
}

impl FieldGroup {
    /// Returns its name in the schema.
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

/// The values that a field accepts.
#[derive(Debug)]
pub enum FieldKind {
    /// Any text; further rules are checked where the settings are decided.
    Text,
    /// One of these values, exactly as written.
    Choice(&'static [Choice]),
    /// A whole number within bounds.
    Whole { min: i64, max: i64 },
    /// `true` or `false`.
    Flag,
    /// A list of texts.
    TextList,
    /// Named texts, up to a maximum number.
    TextMap { max_entries: usize },
    /// A text that the host keeps; its value is never read here.
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

/// Returns an optional field of this group, to be completed by the table of fields.
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

/// Returns a value of a choice with its meaning.
pub(super) const fn choice(value: &'static str, meaning: &'static str) -> Choice {
    Choice { value, meaning }
}
