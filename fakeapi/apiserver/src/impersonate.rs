//! Acting as somebody else: the `Impersonate-*` headers, for those whom RBAC lets.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>

use http::HeaderMap;

use crate::auth::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User};
use crate::rbac::{self, Wanted};
use crate::status::Status;
use crate::storage::Storage;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The group of everything that has a kind of its own in authentication.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whom a request is made as; `None` when it is made as the one who asks.
///
/// # Errors
/// 403 when the one who asks may not be that other one, 400 when no user is named.
pub(crate) fn impersonated(
    storage: &dyn Storage,
    user: &User,
    headers: &HeaderMap,
) -> Result<Option<User>, Status> {
    let Some(wanted) = read(headers)? else { return Ok(None) };
    check(storage, user, &wanted)?;
    Ok(Some(wanted))
}

/// Whom the headers name.
fn read(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let all = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let name = all(USER).into_iter().next().unwrap_or_default();
    let mut user = User { name, groups: all(GROUP), ..User::default() };
    user.uid = all(UID).into_iter().next().unwrap_or_default();
    for key in headers.keys().filter_map(|key| key.as_str().strip_prefix(EXTRA)) {
        let decoded = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
        user.extra.insert(decoded, all(&format!("{EXTRA}{key}")));
    }
    if user == User::default() {
        return Ok(None);
    }
    if user.name.is_empty() {
        return Err(Status::bad_request("requested impersonation without impersonating a user"));
    }
    if user.groups.is_empty()
        && let Some(account) = user.name.strip_prefix("system:serviceaccount:")
        && let Some((namespace, _)) = account.split_once(':')
    {
        user.groups.push("system:serviceaccounts".to_owned());
        user.groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    let everybody = if user.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !user.groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED) {
        user.groups.push(everybody.to_owned());
    }
    Ok(Some(user))
}

/// Refuses what RBAC does not grant: each name, group, uid and extra is asked for alone.
fn check(storage: &dyn Storage, user: &User, wanted: &User) -> Result<(), Status> {
    if user.is_master() {
        return Ok(());
    }
    let account =
        wanted.name.strip_prefix("system:serviceaccount:").and_then(|a| a.split_once(':'));
    let namespace = account.map(|(namespace, _)| namespace);
    let rules = rbac::rules_of(storage, user, namespace).map_err(Status::internal)?;
    let may = |group: &str, resource: &str, subresource: &str, name: &str| {
        let asked = Wanted { verb: "impersonate", group, resource, subresource, name };
        if rules.iter().any(|rule| rule.grants(&asked)) {
            return Ok(());
        }
        let place = match namespace.filter(|_| resource == "serviceaccounts") {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let why = format!(
            "User \"{}\" cannot impersonate resource \"{resource}\" in API group \"{group}\" {place}",
            user.name
        );
        Err(Status::forbidden(group, resource, name, &why))
    };
    match account {
        Some((_, name)) => may("", "serviceaccounts", "", name)?,
        None => may("", "users", "", &wanted.name)?,
    }
    let implied = |group: &&String| {
        !(*group == AUTHENTICATED
            || *group == UNAUTHENTICATED
            || (account.is_some() && group.starts_with("system:serviceaccounts")))
    };
    wanted.groups.iter().filter(implied).try_for_each(|group| may("", "groups", "", group))?;
    if !wanted.uid.is_empty() {
        may(AUTHENTICATION, "uids", "", &wanted.uid)?;
    }
    wanted.extra.iter().try_for_each(|(key, values)| {
        values.iter().try_for_each(|value| may(AUTHENTICATION, "userextras", key, value))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::storage::MemoryStore;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    /// What is sent, and the name and groups that come of it.
    type Case = (&'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);

    #[test]
    fn a_master_may_be_anybody() {
        let store = MemoryStore::default();
        let master = User::authenticated("admin", ["system:masters".to_owned()]);
        let cases: [Case; 3] = [
            (&[("impersonate-user", "jane")], "jane", &["system:authenticated"]),
            (
                &[("impersonate-user", "jane"), ("impersonate-group", "dev")],
                "jane",
                &["dev", "system:authenticated"],
            ),
            (
                &[("impersonate-user", "system:serviceaccount:a:b")],
                "system:serviceaccount:a:b",
                &["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"],
            ),
        ];
        for (sent, name, groups) in cases {
            let sent: Vec<(&'static str, &'static str)> = sent.to_vec();
            let user = impersonated(&store, &master, &headers(&sent)).unwrap().unwrap();
            assert_eq!(
                (user.name.as_str(), user.groups.as_slice()),
                (name, &groups.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>()[..])
            );
        }
        assert_eq!(impersonated(&store, &master, &headers(&[])).unwrap(), None);
        let refused = impersonated(&store, &master, &headers(&[("impersonate-group", "x")]));
        assert_eq!(refused.unwrap_err().code, 400);
    }

    #[test]
    fn who_has_no_rule_may_be_nobody_else() {
        let store = MemoryStore::default();
        let nobody = User::authenticated("nobody", []);
        let status =
            impersonated(&store, &nobody, &headers(&[("impersonate-user", "admin")])).unwrap_err();
        assert_eq!(status.code, 403);
        assert_eq!(
            status.message,
            "users \"admin\" is forbidden: User \"nobody\" cannot impersonate resource \"users\" \
             in API group \"\" at the cluster scope"
        );
    }
}
