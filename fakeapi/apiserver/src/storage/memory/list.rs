//! Lists: what was written here and what the base has, walked together, now or in the past.

use std::collections::HashMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::State;
use crate::storage::{Base, Compacted, Key, Object, Page, PageRequest};

/// What a walk finds under a key. Nothing of the base is rendered before it is wanted.
#[derive(Clone, Copy)]
enum Found<'a> {
    /// What was written, `None` for a tombstone.
    Written(Option<&'a Arc<Object>>),
    /// An object of the base.
    Base,
    /// What was there at the revision of the walk and has changed since.
    Past(Option<&'a Arc<Object>>),
}

impl Found<'_> {
    fn is_there(self) -> bool {
        match self {
            Self::Written(object) | Self::Past(object) => object.is_some(),
            Self::Base => true,
        }
    }
}

/// Takes the keys of a walk in order.
type Visit<'a> = dyn FnMut(&Key, Found<'_>) -> ControlFlow<()> + 'a;

impl<B: Base> State<B> {
    /// The objects of a page, as they were at its revision.
    pub(super) fn list(&self, page: &PageRequest<'_>) -> Result<Page, Compacted> {
        let (mut objects, mut more) = (Vec::new(), false);
        let revision = self.walk(page, &mut |key, found| {
            let object = match found {
                Found::Written(object) => object.map(|object| self.fresh(key, object)),
                Found::Base => self.base.get(key),
                Found::Past(object) => object.cloned(),
            };
            let Some(object) = object else {
                return ControlFlow::Continue(());
            };
            if objects.len() == page.limit {
                more = true;
                return ControlFlow::Break(());
            }
            objects.push(object);
            ControlFlow::Continue(())
        })?;
        Ok(Page { objects, revision, more })
    }

    /// How many objects a page without a limit would have.
    pub(super) fn count(&self, page: &PageRequest<'_>) -> Result<usize, Compacted> {
        let mut count = 0;
        self.walk(page, &mut |_, found| {
            count += usize::from(found.is_there());
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Walks a page's keys as of its revision, and tells which that is.
    fn walk(&self, page: &PageRequest<'_>, visit: &mut Visit<'_>) -> Result<u64, Compacted> {
        let at = page.at.unwrap_or(self.revision);
        let before = self.history.undo(page.scope, at)?;
        if before.is_empty() {
            self.merge(page, visit);
        } else {
            self.merge_past(page, &before, visit);
        }
        Ok(at)
    }

    /// Walks as [`State::merge`], with some objects as they were before.
    fn merge_past(
        &self,
        page: &PageRequest<'_>,
        before: &HashMap<Key, Option<Arc<Object>>>,
        visit: &mut Visit<'_>,
    ) {
        // Objects that are gone now were there then: they join the walk at their places.
        let mut gone: Vec<(&Key, &Arc<Object>)> = before
            .iter()
            .filter_map(|(key, then)| Some((key, then.as_ref()?)))
            .filter(|(key, _)| page.after.is_none_or(|after| key.position() > after))
            .filter(|(key, _)| self.stored_or_base(key).is_none())
            .collect();
        gone.sort_by_key(|(key, _)| *key);
        let mut gone = gone.into_iter().peekable();
        let mut ended = false;
        self.merge(page, &mut |key, found| {
            let step = (|| {
                while let Some((past, object)) = gone.next_if(|(past, _)| *past < key) {
                    visit(past, Found::Past(Some(object)))?;
                }
                // A tombstone of our own stands where the object that is gone was.
                gone.next_if(|(past, _)| *past == key);
                let found = before.get(key).map_or(found, |then| Found::Past(then.as_ref()));
                visit(key, found)
            })();
            ended = step.is_break();
            step
        });
        for (past, object) in gone {
            if ended || visit(past, Found::Past(Some(object))).is_break() {
                return;
            }
        }
    }

    /// Walks the written objects and the base's together, in key order.
    fn merge(&self, page: &PageRequest<'_>, visit: &mut Visit<'_>) {
        let resource = page.scope.resource;
        let start = if let Some((namespace, name)) = page.after {
            Bound::Excluded(Key::new(resource, namespace, name))
        } else {
            let namespace = page.scope.namespace.unwrap_or_default();
            Bound::Included(Key::new(resource, namespace, ""))
        };
        let mut written = self
            .written
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| page.scope.covers(key))
            .peekable();
        let mut ended = false;
        self.base.scan(page.scope, page.after, &mut |namespace, name| {
            let here = (namespace, name);
            let step = (|| {
                while let Some((key, object)) = written.next_if(|(key, _)| key.position() < here) {
                    visit(key, Found::Written(object.as_ref()))?;
                }
                match written.next_if(|(key, _)| key.position() == here) {
                    Some((key, object)) => visit(key, Found::Written(object.as_ref())),
                    None => visit(&Key::new(resource, namespace, name), Found::Base),
                }
            })();
            ended = step.is_break();
            step
        });
        for (key, object) in written {
            if ended || visit(key, Found::Written(object.as_ref())).is_break() {
                return;
            }
        }
    }
}
