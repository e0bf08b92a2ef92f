//! interim
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Destination(Box<str>);
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error("bad")]
    Bad,
}
impl Destination {
    pub const MAX_BYTES: usize = 2048;
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        Ok(Self(
            url::Url::parse(text)
                .map_err(|_| DestinationError::Bad)?
                .as_str()
                .into(),
        ))
    }
    pub fn from_stored(text: &str) -> Result<Self, DestinationError> {
        Self::parse(text)
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
