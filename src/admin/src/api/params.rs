//! The request's query parameters: each known, each once, each valid; anything else is a 400 that names it.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use jiff::Timestamp;
use tags::Domain;

use crate::problem::Problem;
use crate::texts::parse_time;

/// The parameters as sent, decoded.
#[derive(Debug)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self::of(&parts.uri))
    }
}

impl Params {
    /// Those of this URI.
    pub(crate) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// Refuses parameters that are not among these, or come twice.
    pub(crate) fn allow(self, names: &[&str]) -> Result<Self, Problem> {
        for (position, (name, _)) in self.0.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                let allowed = if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                };
                return Err(Problem::parameter(
                    name,
                    format!("is not known here; allowed are: {allowed}."),
                ));
            }
            if self.0[..position]
                .iter()
                .any(|(earlier, _)| earlier == name)
            {
                return Err(Problem::parameter(name, "was given twice."));
            }
        }
        Ok(self)
    }

    /// A parameter's text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter of a type.
    pub(crate) fn parsed<T>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.text(name)
            .map(|text| {
                text.parse()
                    .map_err(|error: T::Err| Problem::parameter(name, error))
            })
            .transpose()
    }

    /// A whole number within a range.
    pub(crate) fn integer(&self, name: &str, min: u32, max: u32) -> Result<Option<u32>, Problem> {
        let number = |text: &str| {
            text.parse()
                .ok()
                .filter(|number| (min..=max).contains(number))
        };
        self.text(name)
            .map(|text| {
                number(text).ok_or_else(|| {
                    Problem::parameter(name, format!("must be a whole number from {min} to {max}."))
                })
            })
            .transpose()
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.text(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| Problem::parameter(name, "must be true or false."))
            })
            .transpose()
    }

    /// A point in time.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.text(name)
            .map(|text| {
                parse_time(text).map_err(|error| Problem::parameter(name, format!("{error}.")))
            })
            .transpose()
    }

    /// `domain`, for tags on another than the default.
    pub(crate) fn domain(&self) -> Result<Option<Domain>, Problem> {
        self.parsed("domain")
    }
}
