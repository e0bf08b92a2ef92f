//! A change of a tag that takes place by itself: known everywhere beforehand, so that it does so everywhere at once.

use jiff::Timestamp;

use crate::Tag;

/// What becomes of a tag at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduled {
    /// From this moment on.
    pub at: Timestamp,
    /// What was asked for, a JSON merge patch (RFC 7396): it is applied anew when the tag changes before that moment.
    pub set: String,
    /// Which key has asked for it.
    pub by: String,
    /// The tag as it will be, whole: its next version. None is scheduled in it.
    pub tag: Tag,
}

impl Tag {
    /// The tag as it is at this moment: what was scheduled for an earlier one has taken place.
    pub fn at(&self, now: Timestamp) -> &Self {
        match &self.scheduled {
            Some(scheduled) if scheduled.at <= now => &scheduled.tag,
            _ => self,
        }
    }

    /// The same of a tag that is not needed otherwise.
    #[must_use]
    pub fn into_current(mut self, now: Timestamp) -> Self {
        match self.scheduled.take() {
            Some(scheduled) if scheduled.at <= now => scheduled.tag,
            scheduled => Self { scheduled, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Destination, Domain, WorkspaceId};

    #[test]
    fn what_is_scheduled_takes_place_at_its_moment_and_not_before() {
        let at = Timestamp::from_second(100).expect("in range");
        let tag = Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse("qr.example.com").expect("valid"),
            Code::parse("a").expect("valid"),
            Destination::parse("https://example.com/").expect("valid"),
            Timestamp::UNIX_EPOCH,
        );
        let later = Tag {
            version: tag.version.next(),
            ..tag.clone()
        };
        let scheduled = Tag {
            scheduled: Some(Box::new(Scheduled {
                at,
                set: "{}".into(),
                by: "key_1".into(),
                tag: later.clone(),
            })),
            ..tag.clone()
        };
        let before = Timestamp::from_microsecond(99_999_999).expect("in range");
        assert_eq!(scheduled.at(before), &scheduled);
        assert_eq!(scheduled.at(at), &later);
        assert_eq!(scheduled.clone().into_current(before), scheduled);
        assert_eq!(scheduled.into_current(at), later);
        assert_eq!(tag.at(at), &tag);
    }
}
