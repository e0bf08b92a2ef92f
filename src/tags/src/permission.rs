//! What may be done through the admin API, permission by permission, and the least role that has each. A key may have fewer than its role.

use std::fmt;
use std::str::FromStr;

use crate::{InvalidValue, Role, WorkspaceId};

/// One thing that may be done in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read tags, their versions and symbols.
    TagsRead,
    /// Read the workspace's own settings and domains.
    SettingsRead,
    /// Count scans.
    AnalyticsRead,
    /// Read who changed what.
    AuditRead,
    /// Take all tags out at once, and scans one by one.
    Export,
    /// Make, change, roll back and revoke tags.
    TagsWrite,
    /// Bring many tags in at once.
    Import,
    /// Take from scans whatever tells of a visitor.
    ScansErase,
    /// Change the workspace's settings and domains.
    SettingsWrite,
    /// See which keys there are.
    KeysRead,
    /// Make, rotate and revoke keys.
    KeysWrite,
    /// See who else may sign in.
    UsersRead,
    /// Invite, change and remove people.
    UsersWrite,
    /// Run the installation: workspaces, the default domain, the edges. Of the workspace `default` alone.
    Operations,
}

impl Permission {
    /// All of them, by role.
    pub const ALL: [Self; 14] = [
        Self::TagsRead,
        Self::SettingsRead,
        Self::AnalyticsRead,
        Self::AuditRead,
        Self::Export,
        Self::TagsWrite,
        Self::Import,
        Self::ScansErase,
        Self::SettingsWrite,
        Self::KeysRead,
        Self::KeysWrite,
        Self::UsersRead,
        Self::UsersWrite,
        Self::Operations,
    ];

    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TagsRead => "tags:read",
            Self::SettingsRead => "settings:read",
            Self::AnalyticsRead => "analytics:read",
            Self::AuditRead => "audit:read",
            Self::Export => "export",
            Self::TagsWrite => "tags:write",
            Self::Import => "import",
            Self::ScansErase => "scans:erase",
            Self::SettingsWrite => "settings:write",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::Operations => "operations",
        }
    }

    /// The first role that has it; those above have it too.
    pub fn role(self) -> Role {
        match self {
            Self::TagsRead | Self::SettingsRead => Role::Viewer,
            Self::AnalyticsRead | Self::AuditRead | Self::Export => Role::Analyst,
            Self::TagsWrite | Self::Import => Role::Editor,
            Self::ScansErase
            | Self::SettingsWrite
            | Self::KeysRead
            | Self::KeysWrite
            | Self::UsersRead
            | Self::UsersWrite
            | Self::Operations => Role::Owner,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or_else(|| {
            InvalidValue::new(
                "permission",
                text,
                "tags:read, settings:read, analytics:read, audit:read, export, tags:write, import, scans:erase, \
                 settings:write, keys:read, keys:write, users:read, users:write or operations",
            )
        })
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(u16);

impl Permissions {
    /// Everything that a role may.
    pub fn of(role: Role) -> Self {
        let all = Permission::ALL.into_iter();
        all.filter(|permission| permission.role() <= role).collect()
    }

    /// Those that there are in a workspace: the installation is run from one alone.
    #[must_use]
    pub fn within(self, workspace: &WorkspaceId) -> Self {
        if *workspace == WorkspaceId::default_workspace() {
            return self;
        }
        self.without(Self::from_iter([Permission::Operations]))
    }

    /// Those by which access is made that outlasts one's own: other keys, other people.
    #[must_use]
    pub fn that_outlast() -> Self {
        Self::from_iter([Permission::KeysWrite, Permission::UsersWrite])
    }

    /// Whether this is one of them.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Those that are in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in the other set.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let all = Permission::ALL.into_iter();
        all.filter(move |permission| self.contains(*permission))
    }
}

fn bit(permission: Permission) -> u16 {
    1 << permission as u16
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let bits = permissions.into_iter().map(bit);
        Self(bits.fold(0, |all, one| all | one))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, permission) in self.iter().enumerate() {
            let before = if position == 0 { "" } else { ", " };
            write!(f, "{before}{permission}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_is_read_back_from_its_word_and_the_refusal_names_all_of_them() {
        let refusal = "all".parse::<Permission>().unwrap_err().to_string();
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(permission));
            assert!(refusal.contains(permission.as_str()), "{permission}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        for permission in Permission::ALL {
            let set = Permissions::from_iter([permission]);
            assert_eq!(set.iter().collect::<Vec<_>>(), [permission]);
        }
        assert_eq!(Permissions::of(Role::Owner).iter().count(), 14);
        assert!(Permissions::default().is_empty());
    }

    #[test]
    fn a_role_may_what_the_ones_before_it_may() {
        let words = |role| Permissions::of(role).to_string();
        assert_eq!(words(Role::Viewer), "tags:read, settings:read");
        let analyst = "tags:read, settings:read, analytics:read, audit:read, export";
        assert_eq!(words(Role::Analyst), analyst);
        assert_eq!(
            words(Role::Editor),
            format!("{analyst}, tags:write, import")
        );
        let more = Permissions::of(Role::Owner).without(Permissions::of(Role::Editor));
        assert_eq!(
            more.to_string(),
            "scans:erase, settings:write, keys:read, keys:write, users:read, users:write, operations"
        );
    }
}
