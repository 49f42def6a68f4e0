//! What is wrong with a rule, each fault with the path of its field.

use std::fmt;

/// Where a field stands in a rule, from the outside in.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

impl<'a> Path<'a> {
    /// The rule itself.
    pub const ROOT: Self = Self { outer: None, step: Step::Root };

    /// A field of what is here.
    #[must_use]
    pub fn field(&'a self, name: &'a str) -> Self {
        Self { outer: Some(self), step: Step::Field(name) }
    }

    /// An item of the list that is here.
    #[must_use]
    pub fn item(&'a self, index: usize) -> Self {
        Self { outer: Some(self), step: Step::Item(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            outer.fmt(f)?;
            let inner = !matches!(outer.step, Step::Root);
            if inner && matches!(self.step, Step::Field(_)) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => f.write_str(name),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path of the field, "" for the rule as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// All that is wrong with a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// One more.
    pub fn add(&mut self, at: &Path<'_>, message: impl Into<String>) {
        self.0.push(Fault { field: at.to_string(), message: message.into() });
    }

    /// Adds the message when the value is wrong.
    pub fn unless(&mut self, good: bool, at: &Path<'_>, message: impl Into<String>) {
        if !good {
            self.add(at, message);
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { field, message }) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            match field.as_str() {
                "" => write!(f, "{between}{message}")?,
                field => write!(f, "{between}{field}: {message}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_every_step() {
        let root = Path::ROOT;
        let outer = root.field("apiServer");
        let list = outer.field("errors");
        let item = list.item(2);
        assert_eq!(item.field("rate").to_string(), "apiServer.errors[2].rate");
        assert_eq!(root.to_string(), "");
    }
}
