//! Browsers as rules and analytics know them, from the family that uap-core's patterns find. Pages shown inside another app
//! come first: they carry the engine's name too, but behave unlike the browser of that name.

use tags::Browser;

/// What apps add to the User-Agent of the pages they show, in lower case.
const APPS: &[&str] = &[
    "[fban/",           // Facebook and Messenger, iOS
    "[fb_iab/",         // Facebook and Messenger, Android
    "fbav/",            // both, by their version
    "instagram ",       // Instagram
    "barcelona ",       // Threads
    "bytedancewebview", // TikTok
    "musical_ly",       // TikTok, iOS
    "trill_",           // TikTok, other regions
    "tiktok",
    "micromessenger/", // WeChat
    " line/",          // LINE
    "snapchat/",
    "twitter for ", // X, iOS
    "twitterandroid",
    "linkedinapp",
    "[pinterest/",
    " gsa/", // Google app
    "kakaotalk",
    "naver(inapp",
    "weibo",
    "alipayclient",
    "dingtalk",
    "telegram-android/",
    "discord/",
    "reddit/",
    "; wv)", // any Android WebView
];

/// What uap-core takes for the browser whose engine it is, in lower case.
const OVERLOOKED: &[(&str, Browser)] = &[
    (" opt/", Browser::Opera), // Opera on iOS
    ("oculusbrowser/", Browser::Other),
    ("arkweb/", Browser::Other), // HarmonyOS from version 5
    ("(playstation", Browser::Other),
];

/// From uap-core's family and the User-Agent in lower case.
pub(crate) fn browser(family: Option<&str>, lower: &str) -> Browser {
    if lower.starts_with("mozilla/") && APPS.iter().any(|app| lower.contains(app)) {
        return Browser::InApp;
    }
    if let Some(&(_, browser)) = OVERLOOKED.iter().find(|(token, _)| lower.contains(token)) {
        return browser;
    }
    match family.unwrap_or_default() {
        "Safari" | "Mobile Safari" | "WebKit Nightly" => Browser::Safari,
        "Chrome" | "Chrome Mobile" | "Chrome Mobile iOS" | "Chromium" | "HeadlessChrome" => {
            Browser::Chrome
        }
        "Edge" | "Edge Mobile" => Browser::Edge,
        "Samsung Internet" => Browser::Samsung,
        // uap-core tells the kinds apart by what follows: "Firefox Mobile", "Firefox (Swiftfox)", "Opera Mini", …
        family if family.starts_with("Firefox") => Browser::Firefox,
        family if family.starts_with("Opera") => Browser::Opera,
        "Chrome Mobile WebView"
        | "Mobile Safari UI/WKWebView"
        | "Facebook"
        | "Facebook Messenger"
        | "Instagram"
        | "Snapchat"
        | "Pinterest"
        | "LINE"
        | "Twitter"
        | "LinkedIn"
        | "Google" => Browser::InApp,
        _ => Browser::Other,
    }
}
