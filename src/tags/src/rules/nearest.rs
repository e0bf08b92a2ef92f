//! The valid word that someone may have meant who wrote another.

use strsim::damerau_levenshtein;

/// The longest text that is compared: longer ones are meant for nothing that is known.
const COMPARED: usize = 64;

/// Of these, the one that takes the fewest mistakes to be written so; case is the least of them. Of several, the first. None, if nothing of
/// it would be left.
pub(super) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if given.is_empty() || given.len() > COMPARED {
        return None;
    }
    let lower = given.to_lowercase();
    let distance = |word: &str| {
        (
            damerau_levenshtein(&lower, &word.to_lowercase()),
            word != given,
        )
    };
    let nearest = known
        .map(|word| (distance(word), word))
        .min_by_key(|(distance, _)| *distance);
    nearest
        .filter(|((mistakes, _), _)| *mistakes < lower.chars().count())
        .map(|(_, word)| word)
}

/// `given`, shown in a message, its beginning if it is long.
pub(super) fn shown(given: &str) -> String {
    given.chars().take(COMPARED).collect()
}
