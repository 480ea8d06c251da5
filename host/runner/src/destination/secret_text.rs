//! Texts that may be secret, and messages about them that do not reveal them. Knows nothing about files or variables.

use batch_export_sandbox::Secret;

/// A text that may be a secret: it is wiped when dropped, `Debug` does not show it, and what a message says about it
/// goes through [`SecretText::redacted`].
#[derive(Debug, Clone)]
pub struct SecretText {
    value: Secret,
    /// What messages show instead of the value.
    shown: Option<String>,
}

impl SecretText {
    /// Makes a text. `shown` is what messages show in its place; `None` for a text that is not secret.
    pub fn new(value: Secret, shown: Option<String>) -> Self {
        SecretText { value, shown }
    }

    /// Returns the value.
    pub fn value(&self) -> &str {
        self.value.expose()
    }

    /// Returns the value as a secret.
    pub fn secret(&self) -> &Secret {
        &self.value
    }

    /// Returns whether messages must not reveal it.
    pub fn is_secret(&self) -> bool {
        self.shown.is_some()
    }

    /// Returns what a message may repeat: the value, or what is shown instead of it.
    pub fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(self.value())
    }

    /// Returns whether a message holds the secret; what is short may be there by chance.
    pub fn is_told_by(&self, message: &str) -> bool {
        const TOO_SHORT_LETTERS: usize = 6;
        let value = letters(self.value());
        self.shown.is_some() && value.chars().count() >= TOO_SHORT_LETTERS && letters(message).contains(&value)
    }

    /// Returns a message about this text without the secret: what it quotes of the value is replaced by what is shown
    /// instead, and where that is not enough, so is the whole message.
    pub fn redacted(&self, message: &str) -> String {
        let Some(shown) = &self.shown else {
            return message.to_owned();
        };
        let value = letters(self.value());
        let tells = |piece: &str| {
            let piece = letters(piece);
            !piece.is_empty() && (piece.contains(&value) || value.contains(&piece))
        };
        // Messages quote in backquotes, cut and tidied, so that only letters and digits are compared.
        let pieces = message.split('`').enumerate().map(|(index, piece)| {
            let is_quoted = index % 2 == 1;
            // A character that the message objects to is not the whole, and its name is not told either.
            let is_character = piece.chars().count() == 1 && self.value().chars().count() > 1;
            match is_quoted && tells(piece) {
                true if is_character => "…",
                true => shown.as_str(),
                false => piece,
            }
        });
        let redacted = pieces.collect::<Vec<_>>().join("`");
        let rest = letters(&redacted.replace(shown.as_str(), ""));
        match self.value().contains('`') || rest.contains(&value) {
            true => format!("the value of `{shown}` is not allowed"),
            false => redacted,
        }
    }
}

/// Returns what is compared of a text: its letters and digits.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}
