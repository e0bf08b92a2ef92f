//! How the words of a fact are written in rules, analytics and the API: one list for each, from which reading and writing both come.

/// A word that is not a value of the fact it was given for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {fact}; use one of {allowed}")]
pub struct UnknownValue {
    pub(crate) word: String,
    pub(crate) fact: &'static str,
    pub(crate) allowed: String,
}

/// Defines a fact's values together with their spelling.
macro_rules! spelled {
    ($(#[$about:meta])* $name:ident, $fact:literal, { $($(#[$doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $value,)+
        }

        impl $name {
            /// All of them, in the order in which they are documented.
            pub const ALL: &'static [$name] = &[$($name::$value,)+];

            /// The value as rules, analytics and the API write it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$value => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::spelling::UnknownValue;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word).ok_or_else(|| {
                    $crate::spelling::UnknownValue {
                        word: word.chars().take(100).collect(),
                        fact: $fact,
                        allowed: Self::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }
    };
}

pub(crate) use spelled;

#[cfg(test)]
mod tests {
    use crate::{Browser, Device, Os};

    fn words<T: Copy + std::fmt::Display>(values: &[T]) -> String {
        values
            .iter()
            .map(T::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn values_are_spelled_as_the_contract_says() {
        assert_eq!(words(Device::ALL), "mobile tablet desktop tv other");
        assert_eq!(
            words(Os::ALL),
            "ios android windows macos linux chromeos other"
        );
        assert_eq!(
            words(Browser::ALL),
            "safari chrome firefox edge samsung opera in_app other"
        );
    }

    #[test]
    fn a_value_is_read_back_from_its_own_spelling_only() {
        for &browser in Browser::ALL {
            assert_eq!(browser.as_str().parse(), Ok(browser));
        }
        let error = "TV".parse::<Device>().expect_err("refused");
        assert_eq!(
            error.to_string(),
            "`TV` is no device; use one of mobile, tablet, desktop, tv, other"
        );
    }
}
