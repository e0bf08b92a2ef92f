"""The codes, where they lead, and what a phone's browser sends; the client programs and scans.lua know the same rule."""

HOST = "qr.example.com"
PHONE = [
    "user-agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language: de-DE,de;q=0.9,en;q=0.8",
    "accept-encoding: gzip, deflate, br",
]


def code(number):
    return f"c{number:07}"


def destination(number):
    """80 characters."""
    return f"https://www.example.com/campaigns/landing/{number:07}?utm_source=qr&utm_medium=print"
