//! One watch a kind: from the version that is served to what is kept of each object.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, pin_mut};
use kube::api::Api;
use kube::core::{ApiResource, DynamicResourceScope, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use tracing::{info, warn};

use super::figures::Figures;
use super::seen::ObjectName;
use super::view::{Kept, Kind, View, Work};

/// How often it is asked whether a kind is served by now. There is no event for that which needs
/// no right to read CRDs.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// How long to wait after a kind was found not to be served: discovery may go on to list it for a
/// while, and its resource be missing all the same.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a kind is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// The group.
    pub(super) group: &'static str,
    /// The versions that can be read, the best first.
    pub(super) versions: &'static [&'static str],
    /// The kind.
    pub(super) kind: &'static str,
    /// The resource.
    pub(super) plural: &'static str,
}

/// Who is told of work. The second argument says that a kind is listed that was not before.
pub(super) type Tell = Arc<dyn Fn(Vec<Work>, bool) + Send + Sync>;

/// A watch of one kind.
pub(super) struct Watch {
    /// How the management cluster is reached.
    pub(super) client: Client,
    /// The only namespace to look at, where not all are.
    pub(super) namespace: Option<String>,
    /// Where the kind is served.
    pub(super) served: Served,
    /// What is kept.
    pub(super) view: Arc<View>,
    /// Who is told.
    pub(super) tell: Tell,
    /// Figures.
    pub(super) figures: Arc<Figures>,
}

impl Watch {
    /// Watches until the task is ended.
    pub(super) async fn run<O, K>(self)
    where
        O: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
        O: DeserializeOwned + Clone + Debug + Send + Sync + 'static,
        K: Kept + for<'a> From<&'a O>,
    {
        loop {
            let resource = self.served(K::KIND).await;
            let api: Api<O> = match &self.namespace {
                Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                None => Api::all_with(self.client.clone(), &resource),
            };
            info!(kind = self.served.kind, version = resource.api_version, "watching");
            let events = watcher(api, Config::default()).default_backoff();
            self.follow::<O, K>(events).await;
            self.view.unlisted::<K>();
            warn!(kind = self.served.kind, "the kind is served no more");
            sleep(PAUSE).await;
        }
    }

    /// Waits until a version is served.
    async fn served(&self, which: Kind) -> ApiResource {
        let Served { group, versions, kind, plural } = self.served;
        let mut said = false;
        loop {
            for version in versions {
                let api_version = format!("{group}/{version}");
                match self.client.list_api_group_resources(&api_version).await {
                    Ok(list) if list.resources.iter().any(|resource| resource.name == plural) => {
                        let gvk = GroupVersionKind::gvk(group, version, kind);
                        return ApiResource::from_gvk_with_plural(&gvk, plural);
                    }
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => {
                        self.figures.watch_failed(which);
                        warn!(kind, %error, "it cannot be told whether the kind is served");
                        break;
                    }
                }
            }
            if !said {
                info!(kind, group, "waiting for the kind to be served");
                said = true;
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Follows the events of a watch until the kind is served no more.
    async fn follow<O, K>(&self, events: impl Stream<Item = watcher::Result<Event<O>>>)
    where
        O: Resource,
        K: Kept + for<'a> From<&'a O>,
    {
        pin_mut!(events);
        let mut held = HashSet::new();
        while let Some(event) = events.next().await {
            let work = match event {
                Ok(Event::Init) => {
                    held.clear();
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    let Some(name) = ObjectName::of(object.meta()) else { continue };
                    held.insert(name.clone());
                    self.view.apply(&name, K::from(&object))
                }
                Ok(Event::InitDone) => {
                    let first = !self.view.is_listed(K::KIND);
                    let gone = self.view.listed::<K>(&held);
                    held = HashSet::new();
                    self.figures.listed(K::KIND);
                    (self.tell)(gone, first);
                    continue;
                }
                Ok(Event::Apply(object)) => {
                    let Some(name) = ObjectName::of(object.meta()) else { continue };
                    self.view.apply(&name, K::from(&object))
                }
                Ok(Event::Delete(object)) => {
                    let Some(name) = ObjectName::of(object.meta()) else { continue };
                    self.view.delete::<K>(&name)
                }
                Err(error) if is_served_no_more(&error) => return,
                Err(error) => {
                    self.figures.watch_failed(K::KIND);
                    warn!(kind = self.served.kind, %error, "the watch failed and begins again");
                    continue;
                }
            };
            (self.tell)(work, false);
        }
    }
}

fn is_served_no_more(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}
