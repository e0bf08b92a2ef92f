//! Which User-Agents say that they are no person: crawlers, link previews, monitors, libraries. Finding those that do not say so is
//! left out, as nothing in a single request tells.

use isbot::Bots;

/// isbot's patterns that also meet browsers people use: Sogou's and a download manager that marks Internet Explorer.
const NOT_BOTS: &[&str] = &["sogou", "qqdownload"];

/// What isbot lacks, in its form: regular expressions over the User-Agent in lower case.
const MORE_BOTS: &[&str] = &[
    "^whatsapp/",
    "^dart/",
    "^ruby",
    "^rest-client/",
    "^node",
    "^undici",
    "^got ",
    "^deno/",
    "^bun/",
    "^k6/",
    "^insomnia/",
    "^httpie/",
    "^libcurl",
    "^wrk",
    "^h2load",
    "^vegeta",
    "^reqwest/",
    "^python",
    "^perl",
    "^apache-",
    "^faraday",
    "^restsharp",
    "^powershell",
    "windowspowershell/",
    "microsoftpreview/",
    "lighthouse",
    "headlesschrome",
];

/// Builds the recogniser; expensive.
pub(crate) fn recogniser() -> Bots {
    let mut bots = Bots::default();
    bots.remove(NOT_BOTS);
    bots.append(MORE_BOTS);
    bots
}
