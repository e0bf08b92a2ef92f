//! File descriptors: as many as the system lets this process have, and how many of them are for connections.

use std::num::NonZeroUsize;

use rustix::process::{Resource, getrlimit, setrlimit};

/// What is kept back for all that is no visitor's connection: files, Kafka, the journal, sites behind domains.
const LEAST_RESERVE: usize = 256;

/// Raises the soft limit to the hard one. The low soft limit is for programs that use `select`, which this one does not.
pub(crate) fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised to what the system allows");
    }
}

/// How many connections there may be: what is configured, but never so many that nothing is left for the rest.
pub(crate) fn connections(configured: Option<NonZeroUsize>) -> NonZeroUsize {
    let limit = getrlimit(Resource::Nofile).current;
    let descriptors = limit.and_then(|limit| usize::try_from(limit).ok());
    let most = beside_the_rest(descriptors.unwrap_or(usize::MAX));
    match configured {
        Some(configured) if configured > most => {
            tracing::warn!(
                configured,
                most,
                "edge.max_connections is more than the limit of file descriptors has room for; raise that limit (ulimit -n, LimitNOFILE)"
            );
            most
        }
        Some(configured) => configured,
        None => most,
    }
}

fn beside_the_rest(descriptors: usize) -> NonZeroUsize {
    let reserve = (descriptors / 16).max(LEAST_RESERVE);
    NonZeroUsize::new(descriptors.saturating_sub(reserve)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_back_whatever_the_limit() {
        for (descriptors, connections) in [
            (0, 1),
            (256, 1),
            (1_024, 768),
            (20_000, 18_750),
            (1 << 20, 983_040),
        ] {
            assert_eq!(
                beside_the_rest(descriptors).get(),
                connections,
                "{descriptors}"
            );
        }
    }

    #[test]
    fn what_is_configured_holds_as_far_as_there_are_descriptors() {
        assert_eq!(connections(NonZeroUsize::new(10)).get(), 10);
        assert!(connections(Some(NonZeroUsize::MAX)) < NonZeroUsize::MAX);
    }
}
