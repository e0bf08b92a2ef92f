//! Operating systems as rules and analytics know them, from the family that uap-core's patterns find. Versions are left out:
//! nothing asks for them.

use tags::Os;

/// From uap-core's family and, where a family says too little, the User-Agent in lower case.
pub(crate) fn os(family: Option<&str>, lower: &str) -> Os {
    match family {
        Some("iOS") => Os::Ios,
        Some("Android" | "GoogleTV" | "FireHbbTV") => Os::Android,
        // A Chromecast names Android when it runs it, and else an embedded Linux that is no desktop.
        Some("Chromecast") if lower.contains("android") => Os::Android,
        Some("Windows" | "Windows Phone" | "Windows Mobile") => Os::Windows,
        Some("Mac OS X" | "Mac OS") => Os::Macos,
        Some("Chrome OS") => Os::Chromeos,
        Some(
            "Linux" | "Ubuntu" | "Kubuntu" | "Lubuntu" | "Debian" | "Fedora" | "Red Hat" | "CentOS"
            | "Arch Linux" | "Gentoo" | "openSUSE" | "SUSE" | "Slackware" | "Mageia" | "Mandriva"
            | "Linux Mint" | "PCLinuxOS" | "Puppy" | "BackTrack",
        ) => Os::Linux,
        _ => Os::Other,
    }
}
