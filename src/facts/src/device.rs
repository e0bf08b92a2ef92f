//! Classes of devices, by the tokens that makers put into their User-Agents; uap-core names models, not classes. Telling two
//! models apart is left out: nothing asks for it.

use tags::{Device, Os};

/// All tokens are in lower case. "; aft" begins Amazon's model names for Fire TV, "; kf" those for its tablets.
const TV: &[&str] = &[
    "smart-tv",
    "smarttv",
    "smart tv",
    "hbbtv",
    "googletv",
    "google tv",
    "android tv",
    "androidtv",
    "appletv",
    "apple tv",
    "tvos",
    "roku",
    "crkey",
    "; aft",
    "bravia",
    "web0s",
    "webos.tv",
    "netcast",
    "nettv",
    "philipstv",
    "viera",
    "vidaa",
    "mitv",
    "mibox",
    "opera tv",
    "tv safari",
    "tv store",
    "inettvbrowser",
    "sonydtv",
];
const ELSE: &[&str] = &[
    "playstation",
    "xbox",
    "nintendo",
    "oculusbrowser",
    "apple watch",
    "watchos",
    "glass ",
];
const TABLET: &[&str] = &[
    "ipad",
    "tablet",
    "kindle",
    "; kf",
    "silk/",
    "playbook",
    "; sm-t",
    "; sm-x",
    "samsung sm-t",
    "samsung sm-x",
    "xoom",
    "nexus 7",
    "nexus 9",
    "nexus 10",
    "mediapad",
    "matepad",
    "lenovo tb",
    "lenovo yt",
    " tab ",
    "kobo",
];
const MOBILE: &[&str] = &[
    "iphone",
    "ipod",
    "mobi",
    "android",
    "phone",
    "blackberry",
    "bb10",
    "symbian",
    "symbos",
    "series 60",
    "series60",
    "nokia",
    "midp",
    "kaios",
    "opera mini",
    "ucweb",
    "windows ce",
];

/// From the operating system and the User-Agent in lower case.
pub(crate) fn device(os: Os, lower: &str) -> Device {
    let has = |tokens: &[&str]| tokens.iter().any(|token| lower.contains(token));
    // Internet Explorer names the pen support of an ordinary Windows computer "Tablet PC".
    let tablet = has(TABLET) && !lower.contains("tablet pc");
    // Android's makers leave "Mobile" out of a tablet's browser. Opera Mini and apps that are no browser never say it.
    let silent_tablet =
        os == Os::Android && lower.starts_with("mozilla/") && !lower.contains("mobile");
    if has(ELSE) {
        Device::Other
    } else if has(TV) {
        Device::Tv
    } else if tablet || silent_tablet {
        Device::Tablet
    } else if os == Os::Ios || has(MOBILE) {
        Device::Mobile
    } else if matches!(os, Os::Windows | Os::Macos | Os::Linux | Os::Chromeos)
        || lower.contains("(x11;")
    {
        Device::Desktop
    } else {
        Device::Other
    }
}
