//! What a decision may ask about a request. How a fact is found out is left to whoever implements [`Facts`]: the edge from the
//! request, a simulation from what it is told.

/// A request's facts. Each is asked for only where a tag depends on it, so an implementation finds it out at the first question and
/// keeps it for the next: what a fact costs is paid by the tags that need it.
pub trait Facts {
    /// The query as sent, without `?`.
    fn query(&self) -> &str;

    /// The country that the client's address is in, ISO 3166-1 alpha-2 in capitals; none: unknown.
    fn country(&self) -> Option<&str>;

    /// The region that it is in, ISO 3166-2 with its country, as in `DE-BY`; none: unknown.
    fn region(&self) -> Option<&str>;
}
