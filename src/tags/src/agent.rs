//! The words for what a visitor's device and software are. How they are found out is `facts`' matter.

use crate::spelling::spelled;

spelled! {
    /// The class of the visitor's device.
    Device, "device", {
        /// A phone, or a media player of that size.
        Mobile = "mobile",
        /// A tablet or e-reader, unless it poses as a desktop as iPads do.
        Tablet = "tablet",
        /// A desktop or laptop computer.
        Desktop = "desktop",
        /// A television, or a box or stick on one.
        Tv = "tv",
        /// Anything else: consoles, headsets, watches, tools, and User-Agents that name nothing known.
        Other = "other",
    }
}

spelled! {
    /// The visitor's operating system.
    Os, "operating system", {
        /// iPhone, iPod, and an iPad that does not pose as a Mac.
        Ios = "ios",
        /// Android, also as Fire OS, HarmonyOS up to 4, and Google TV.
        Android = "android",
        /// Windows, also on phones and the Xbox.
        Windows = "windows",
        /// macOS, and an iPad that asks for desktop pages.
        Macos = "macos",
        /// A Linux desktop distribution, or plain "Linux".
        Linux = "linux",
        /// ChromeOS.
        Chromeos = "chromeos",
        /// Anything else: TV and console systems, KaiOS, the BSDs, and User-Agents that name none.
        Other = "other",
    }
}

spelled! {
    /// The visitor's browser.
    Browser, "browser", {
        /// Safari on Apple's systems.
        Safari = "safari",
        /// Chrome and Chromium, also on iOS.
        Chrome = "chrome",
        /// Firefox, also on iOS, and Focus.
        Firefox = "firefox",
        /// Microsoft Edge, old and new, also on iOS. Internet Explorer is `Other`.
        Edge = "edge",
        /// Samsung Internet.
        Samsung = "samsung",
        /// Opera, Opera Mini, Touch, GX.
        Opera = "opera",
        /// A page shown inside another app: social networks, messengers, the Google app, any Android or iOS web view.
        InApp = "in_app",
        /// Anything else, bots and tools included.
        Other = "other",
    }
}
