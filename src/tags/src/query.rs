//! interim
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum QueryMode {
    Drop,
    #[default]
    Append,
    Override,
}
impl QueryMode {
    pub fn apply<'a>(self, destination: &'a str, visitor: &str) -> std::borrow::Cow<'a, str> {
        if visitor.is_empty() || self == Self::Drop {
            destination.into()
        } else {
            format!("{destination}?{visitor}").into()
        }
    }
}
